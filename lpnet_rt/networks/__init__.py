"""PyTorch modules; importing this package needs torch, and nothing a deployed machine runs imports it."""
