"""First layers, computed once for all points of a line or of a plane."""
