"""Faces over time: which face of a frame is which of the frame before, and where those are that no
detector found. NumPy and SciPy alone."""

# Seconds for which a face may be missing and still be the same, or still be there.
MAX_GAP = 1.0
