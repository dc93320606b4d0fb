"""Faces over time: which face of a frame is which of the frame before, and where those are that no
detector found. NumPy and SciPy alone."""

# Seconds for which a face may be missing and still be the same, or still be there.
MAX_GAP = 1.0
# A track goes on with a face of this share of the score that begins one (ByteTrack, ECCV 2022).
WEAK_SHARE = 0.25
