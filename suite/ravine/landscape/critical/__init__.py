"""Critical points: found from many starts, certified, and classified by their curvature."""
