"""Goodfellow, Bengio and Courville, Deep Learning, section 8.2 (MIT Press, 2016)."""

BOOK = "Goodfellow, Bengio, Courville (2016), Deep Learning, {}, deeplearningbook.org"
"""Source line, with the number of a section."""
