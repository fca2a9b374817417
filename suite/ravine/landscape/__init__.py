"""The ground that optimizers cross: curvature, critical points, lines, planes, symmetry.

Everything here takes a `Surface`, which `surface(problem)` or `module_surface(module, data,
criterion)` makes, and points of it as flat vectors.
"""
