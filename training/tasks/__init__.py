"""What training differs in from network to network: losses, optimisers, validation."""
