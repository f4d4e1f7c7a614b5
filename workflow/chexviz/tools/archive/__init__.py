"""A run's results to give away: `chexviz archive`, which names no patient and shows none."""
