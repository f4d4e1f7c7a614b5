"""From predictions to numbers, and how sure they are."""
