"""How fast and how accurate, measured."""
