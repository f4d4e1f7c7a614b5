"""A trained model on a user's own radiographs, without Snakemake and PyTorch."""
