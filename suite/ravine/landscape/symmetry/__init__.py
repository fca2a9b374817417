"""Symmetries of networks: what may be exchanged, rescaled or flipped without any effect."""
