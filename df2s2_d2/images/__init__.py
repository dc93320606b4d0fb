"""Images of every kind as arrays of 8-bit colours; needs NumPy and Pillow alone."""
