"""The Python in a Markdown file, to be run by tests."""

from __future__ import annotations

import re
from pathlib import Path

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def python_blocks(path: Path) -> list[str]:
    """The ``python`` blocks of a Markdown file, in order; line numbers are those of the file."""
    text = path.read_text(encoding="utf-8")
    return [
        "\n" * text.count("\n", 0, match.start(1)) + match[1] for match in _BLOCK.finditer(text)
    ]
