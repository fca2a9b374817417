"""Zhang, Lipton, Li and Smola, Dive into Deep Learning, chapter 12 (d2l.ai, 2023)."""
