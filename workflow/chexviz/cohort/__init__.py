"""Who is in the study and in which subset, and whether that can be trusted."""
