"""Draws a small face-detection data set in the official WIDER FACE layout; ``--help`` says more."""

from __future__ import annotations

from sample_faces.dataset import main

if __name__ == "__main__":
    main()
