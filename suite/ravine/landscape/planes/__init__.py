"""Planes through a landscape: directions, cells, what they show, and files of them."""
