"""A site's pixels, masks and maps as arrays, without PyTorch."""
