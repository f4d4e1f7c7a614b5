"""What a model and its training give away: attacks, and what they get."""
