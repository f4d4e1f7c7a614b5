"""What a raw layout holds: images, labels, patients, annotations."""
