"""The documents, their fenced blocks, and the shell commands in these."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import build_site

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")}
    | {ROOT / source for source in build_site.ELSEWHERE if source.endswith(".md")}
)
_BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
# What the mark of something that no test runs may say that it takes.
_NEED = re.compile(
    r"\bneeds\b.*?\b(GPUs?|network|minutes|WIDER FACE|FDDB|photographs|camera|SLURM|wheels|Docker"
    r"|Kubernetes|browser|server|cluster)\b"
)


@dataclass(frozen=True)
class Snippet:
    """A fenced block.

    Attributes:
        language: "" if the fence names none.
        code: what is in it.
        line: of its first line in the file, from 1.
    """

    language: str
    code: str
    line: int

    @property
    def code_at_its_line(self) -> str:
        """The code, below so many empty lines that what fails in it names the line of the file."""
        return "\n" * (self.line - 1) + self.code

    @property
    def is_marked(self) -> bool:
        """Whether its first line is a comment that says what running it takes."""
        return is_mark(self.code.partition("\n")[0])


@dataclass(frozen=True)
class ShellCommand:
    """A command of a shell block.

    Attributes:
        words: as a shell splits it, variables at the beginning among them.
        line: where it begins in the file, from 1.
        is_marked: whether the block, or a comment behind the command, says what it takes to run it.
    """

    words: list[str]
    line: int
    is_marked: bool


def snippets(path: Path, language: str | None = None) -> Iterator[Snippet]:
    """The fenced blocks of a Markdown file, in order; of one language, or all."""
    text = path.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        if language in (None, match["language"]):
            line = text.count("\n", 0, match.start("code")) + 1
            yield Snippet(match["language"], match["code"], line)


def is_mark(line: str) -> bool:
    """Whether a comment in a line says what running it needs, such as a GPU or the network."""
    _, hash_sign, comment = line.rpartition("# ")
    return bool(hash_sign) and _NEED.search(comment) is not None


def shell_commands(snippet: Snippet) -> Iterator[ShellCommand]:
    """The commands of a block: lines, joined where they end in a backslash or within quotes."""
    pending, start = "", 0
    for number, line in enumerate(snippet.code.splitlines(), start=snippet.line):
        start = start if pending else number
        pending += line
        if pending.endswith("\\"):
            pending = pending[:-1] + " "
            continue
        try:
            words = shlex.split(pending, comments=True)
        except ValueError:  # a quotation goes on
            pending += "\n"
            continue
        if words:
            yield ShellCommand(words, start, snippet.is_marked or is_mark(pending))
        pending = ""
    assert not pending, f"line {start}: the command does not end"
