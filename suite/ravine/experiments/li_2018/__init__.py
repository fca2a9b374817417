"""Li, Xu, Taylor, Studer and Goldstein (2018): pictures of loss surfaces."""

SOURCE = "Li, Xu, Taylor, Studer, Goldstein (2018), arXiv 1712.09913"
