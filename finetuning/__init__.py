"""Fine-tuning: from a model and frames of one's own to a model file with its card, and a report."""
