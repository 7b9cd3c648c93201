"""Layers whose weights are signed powers of two."""
