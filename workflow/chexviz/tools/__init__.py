"""Commands that no rule runs."""
