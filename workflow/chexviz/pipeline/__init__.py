"""What the workflow asks before it runs a job."""
