"""PyTorch modules; this package needs torch, and nothing that runs on a deployed machine imports it."""
