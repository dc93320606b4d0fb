"""Build the documentation site: the pages of docs/ and those that lie beside what they describe.

``python tools/build_site.py`` writes site/, and fails if a link leads nowhere or a name of the API
does not exist. It needs the extra ``docs``, which ``make docs`` installs.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Pages that lie elsewhere, where readers of the checkout and of the wheel look for them.
ELSEWHERE = {
    "README.md": "index.md",
    "MODEL_ZOO.md": "model_zoo.md",
    "benchmarks/README.md": "benchmarks.md",
    "datasets/README.md": "data_sets.md",
    "df2s2_d2/models/faces-small.md": "faces_small.md",
    "df2s2_d2/config.py": "config_keys.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
_CODE = re.compile(r"^```.*?^```$|(?<!`)`[^`\n]+`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[(?P<text>[^\[\]]*)\]\((?P<path>[^)\s#]*)(?P<anchor>#[^)\s]*)?\)")
_HEADING = re.compile(r"^#+ +(.*?) *$", re.MULTILINE)


def main() -> int:
    """Assemble the pages and build the site of them.

    Returns:
        The exit code: 0, or 1 if a link, or the generator, fails.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.parse_args()
    try:
        assemble(ROOT / "build/docs")
    except ValueError as error:
        print(f"build_site.py: {error}", file=sys.stderr)
        return 1
    generator = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    return subprocess.run(generator, cwd=ROOT).returncode


def assemble(folder: Path) -> None:
    """Write all pages, and the pictures they show, into one folder.

    Args:
        folder: what was in it is removed.

    Raises:
        ValueError: for a link that leads to no page, no picture or no heading of these.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder)
    for source, page in ELSEWHERE.items():
        (folder / page).write_text(_as_page(source), encoding="utf-8")
    for path in sorted(ROOT.glob("docs/**/*.md")):
        source = path.relative_to(ROOT).as_posix()
        page = place_on_site(source)
        (folder / page).write_text(_with_links_of_site(path.read_text("utf-8"), source), "utf-8")


def place_on_site(source: str) -> str | None:
    """Where a file of the checkout is on the site, or None if it is not there."""
    if source in ELSEWHERE:
        return ELSEWHERE[source]
    return source.removeprefix("docs/") if source.startswith("docs/") else None


def links(text: str) -> Iterator[re.Match]:
    """The links of a page to others, not to the web, with ``text``, ``path`` and ``anchor``."""
    prose = _CODE.sub(lambda block: re.sub(r"\S", " ", block[0]), text)
    for match in _LINK.finditer(prose):
        if not re.match(r"[a-z]+:", match["path"]):
            yield match


def headings(text: str) -> set[str]:
    """The anchors of a page's headings."""
    plain = (re.sub(r"[^\w\s-]", "", title).strip().lower() for title in _HEADING.findall(text))
    return {re.sub(r"[-\s]+", "-", title) for title in plain}


def _as_page(source: str) -> str:
    text = (ROOT / source).read_text(encoding="utf-8")
    if source.endswith(".md"):
        return _with_links_of_site(text, source)
    return f"# {source}\n\n```{source.rpartition('.')[2]}\n{text}```\n"


def _with_links_of_site(text: str, source: str) -> str:
    """The text of a page, its links changed to where their targets are on the site.

    Those to files of the checkout that are no pages, such as configs, become their words alone.
    """
    parts, end = [], 0
    here = os.path.dirname(place_on_site(source))
    for match in links(text):
        target = os.path.normpath(os.path.join(os.path.dirname(source), match["path"]))
        target = source if not match["path"] else target
        place = place_on_site(target)
        if not (ROOT / target).is_file():
            raise ValueError(f"{source} links {match['path']}, which does not exist")
        words = text[slice(*match.span("text"))]
        parts.append(text[end : match.start()])
        end = match.end()
        if place is None:
            parts.append(words)
            continue
        anchor = match["anchor"] or ""
        if anchor and anchor[1:] not in headings((ROOT / target).read_text(encoding="utf-8")):
            raise ValueError(f"{source} links {match[0]}, but {target} has no such heading")
        parts.append(f"[{words}]({os.path.relpath(place, here or '.')}{anchor})")
    return "".join([*parts, text[end:]])


if __name__ == "__main__":
    sys.exit(main())
