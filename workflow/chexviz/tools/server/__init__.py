"""What a coordinator types: `chexviz server ...`.

A command imports Flower, PyTorch and Snakemake, which take seconds, once its line has been read: so
help and mistyped options are answered at once, whatever is installed.
"""
