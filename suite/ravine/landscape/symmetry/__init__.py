"""Symmetries of networks: what may be exchanged, rescaled or flipped without any effect.

What there is:

- `groups`: units that move together, as data.
- `networks`: the groups of a network, traced and then checked on its outputs.
- `tracing`: how they are read off the graph of a module.
- `counts`: how many points have the same function.

What may be done with it:

- `permutation` and `rescaling`: move a point to another with the same function.
- `modes`: the directions at a point along which nothing changes, zero modes of the Hessian.
- `matching`: the permutation that brings one network close to another, by weights or by
  `activations`; `alignment` then scales, and `repair` mends the networks between the two.
- `connection`: the loss on the ways between them.
"""
