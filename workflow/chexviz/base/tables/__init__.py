"""Every CSV of the workflow: its columns, their types, one reader and one writer."""
