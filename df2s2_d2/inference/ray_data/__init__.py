"""Faces in more photographs than one machine gets through, by Ray Data."""

from df2s2_d2.inference.ray_data.find_faces import FindFaces

__all__ = ["FindFaces"]
