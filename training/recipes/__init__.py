"""Recipes: what a training run depends on, as types, and the packaged ones as TOML files."""
