"""LPNetGA, the paper's network: patches and their exact sum, inference, and weights files."""
