"""Figures and tables of what was measured of a landscape, a file for each analysis."""
