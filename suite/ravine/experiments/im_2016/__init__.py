"""Im, Tao and Branson (2016): solutions of many optimizers, and what lies between them."""
