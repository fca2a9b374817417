"""Spectra of symmetric matrices that are known by their products: ends, density, trace.

Everything here takes an `Operator`, which `hessian`, `gauss_newton` and `fisher` make of a
surface and a point; `restrict` makes one of a part of the parameters.
"""
