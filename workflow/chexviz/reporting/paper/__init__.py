"""The paper: its sentences, its supplement and its PDF."""
