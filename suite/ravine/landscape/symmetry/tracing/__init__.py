"""Symmetries of a module are read off its graph, by following units from node to node.

`graph` walks over the graph of a module, or of the `twins` of the catalogue's networks.  At
each node `rules` looks up what the operation does to units: `products` (linear layers,
convolutions), `norms`, `pointwise` functions, and what happens to whole `axes`; `operations`
lists torch's names by kind.  A rule adds ties to the `walk`: `wiring` says which axes of which
parameters belong together, `ties` is the union-find below it.  What has no rule is refused, in
words that `refusals` keeps.
"""
