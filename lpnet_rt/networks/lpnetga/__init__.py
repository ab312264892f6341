"""LPNetGA, the paper's network: patches and their exact sum, how it runs, and its weights files."""
