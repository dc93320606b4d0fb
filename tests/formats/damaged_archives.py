"""Archives that were damaged on their way."""

from __future__ import annotations

from pathlib import Path


def damage(archive: Path) -> None:
    """Change a byte inside the compressed text of an archive's first file."""
    data = bytearray(archive.read_bytes())
    data[60] ^= 0xFF
    archive.write_bytes(data)
