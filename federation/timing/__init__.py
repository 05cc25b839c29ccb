"""When clients are there, and how long a round waits for them."""
