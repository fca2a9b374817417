"""Liao and Poggio (2017), arXiv 1703.09833: minima of networks that can fit anything."""
