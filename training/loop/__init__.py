"""The training loop, the same for every network: checkpoints, logs, several processes."""
