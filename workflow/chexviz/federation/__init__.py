"""Sites that train one model together."""
