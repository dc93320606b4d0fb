from __future__ import annotations

from df2s2_d2.cli import export
from df2s2_d2.inference.export import FORMATS


def test_formats_are_those_of_the_exporters():
    """They are named twice, as the exporters take long to load."""
    assert export.FORMATS == tuple(FORMATS)
    suffixes = [suffix for kind in FORMATS.values() for suffix in kind.suffixes]
    assert export.SUFFIXES == tuple(dict.fromkeys(suffixes))
