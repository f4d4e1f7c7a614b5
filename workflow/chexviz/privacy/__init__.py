"""What a federation gives away: attacks on what leaves a site, and how far they get."""
