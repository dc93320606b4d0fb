from __future__ import annotations

from df2s2_d2.cli import export
from df2s2_d2.inference.export import SUFFIXES


def test_suffixes_are_those_of_the_exporters():
    """They are named twice, as the exporters take long to load."""
    assert export.SUFFIXES == SUFFIXES
