"""What is trained beside the families of models: experts, readouts, the head, and how they grow and come to rest."""
