"""What a site's operator types: `chexviz site ...`.

A command imports Flower, PyTorch and Snakemake, which take seconds, once its line has been read: so
help and mistyped options are answered at once, whatever is installed.
"""
