"""Drawn chests in the layouts of real datasets."""
