"""Measurements of speed and memory beside detectron2's own parts; run as ``python -m``."""
