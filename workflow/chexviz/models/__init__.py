"""The networks: built, stored, fed, and asked what they see."""
