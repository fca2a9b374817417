"""The catalogue of formulas, a file for each difficulty.

- `critical_points`, `saddles`, `wells`: all critical points are known
- `separable`, `coupled`, `valleys`, `fits`: conditioned
- `multimodal`, `ripples`, `peaks`, `planar`, `few_basins`, `uneven`: many minima
- `saturation`, `plateaus`, `cliffs`: gradients vanish or explode
- `nonsmooth`, `kinked_valleys`: kinks
- `transforms`, `noisy`: any of them moved, turned, scaled, delayed, or with gradient noise
- `theory`: what proofs are about; `rates` has their closed forms
- `factorisations`, `small_networks`, `regressions`: small neural problems in closed form

`points` and `spectra` serve the others.
"""
