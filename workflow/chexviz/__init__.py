"""CheXViz: a federated chest X-ray study as a reproducible pipeline."""
