"""What travels: orders, contributions, and values as plain JSON and tensors."""
