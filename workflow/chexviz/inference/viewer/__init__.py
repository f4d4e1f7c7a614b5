"""A page on the user's own machine that shows radiographs and what a model says of them."""
