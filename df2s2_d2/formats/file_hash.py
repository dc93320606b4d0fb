"""The SHA-256 of a file, by which weights and inputs are known again."""

from __future__ import annotations

import hashlib
import os

_BLOCK_BYTES = 1 << 20


def file_sha256(path: str | os.PathLike) -> str:
    """In hexadecimal digits, as ``sha256sum`` prints it.

    Raises:
        OSError: if the file cannot be read.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
