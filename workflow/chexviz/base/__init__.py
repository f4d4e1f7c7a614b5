"""What every room uses, and what imports nothing of ours."""
