"""Figures and tables of planes."""
