"""A page of HTML that needs no other file: text, tables with bars, and pictures.

All text is escaped, so that names of files cannot become markup.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5d6670; --paper: #fff; --line: #d5dae0;
  --bar: #bcd9f5; --card: #f4f6f8; --link: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --soft: #9aa5b1; --paper: #16191d;
  --line: #363d46; --bar: #1f4e7c; --card: #20252b; --link: #7cb8f2; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1.5rem 1rem 4rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: .75rem;
  border-top: 1px solid var(--line); }
p { max-width: 46rem; margin: .5rem 0; }
a { color: var(--link); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; padding: 0; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { min-width: 22rem; border-collapse: collapse; font-variant-numeric: tabular-nums;
  overflow-wrap: normal; }
caption { text-align: left; color: var(--soft); padding: 0 0 .4rem; }
th, td { padding: .25rem .75rem; text-align: right; border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
thead th.bar, .words { text-align: left !important; }
th[scope=row] { font-weight: 400; min-width: 7.5rem; }
th[scope=row], th[scope=rowgroup], thead th:first-child { text-align: left; }
th[scope=rowgroup] { padding-top: .9rem; }
td.bar { --start: calc(var(--digits) * .65rem + 2.4rem); width: 12rem; min-width: 9rem;
  text-align: left; background: linear-gradient(var(--bar), var(--bar)) no-repeat var(--start)
  center / calc(var(--share) * (100% - var(--start) - .75rem)) 1rem; print-color-adjust: exact;
  -webkit-print-color-adjust: exact; }
@media (max-width: 40rem) { th, td { padding: .25rem .4rem; } td.bar { min-width: 7.5rem; } }
figure { margin: 1rem 0; }
figure .scroll { background: #fff; border: 1px solid var(--line); border-radius: .4rem; margin: 0; }
figure img { display: block; width: 100%; height: auto; }
figcaption { color: var(--soft); padding-top: .4rem; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(13.5rem, 1fr)); gap: 1rem;
  margin: 1rem 0; }
.gallery.wide { grid-template-columns: 1fr; gap: 1.75rem; }
.card { margin: 0; }
.wide .card img { width: auto; max-width: 100%; }
.card[hidden] { display: none; }
.card img { border-radius: .3rem; }
.card figcaption { font-size: .8rem; line-height: 1.35; }
.filters { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: .5rem 1.25rem;
  align-items: center; padding: .6rem .75rem; background: var(--card);
  border: 1px solid var(--line); }
.filters[hidden] { display: none; }
.filters select { font: inherit; max-width: 16rem; color: var(--ink); background: var(--paper); }
.filters output { color: var(--soft); }
.note { background: var(--card); border-left: .25rem solid var(--soft); padding: .5rem .75rem; }
"""

# A cell: a text, a count, or a fraction of 1, which is drawn as a bar.
Cell = str | int | float
_BAR = ' class="bar"'
_WORDS = re.compile(r"[^\W\d_]{3}")


def paragraph(text: str, note: bool = False) -> str:
    """A paragraph; a note is set apart, such as what to give for a section that is missing."""
    return f'<p class="note">{escape(text)}</p>' if note else f"<p>{escape(text)}</p>"


def table(
    caption: str, header: Sequence[str], rows: Sequence[Sequence[Cell]], digits: int = 3
) -> str:
    """A table whose first cells name their rows.

    Args:
        caption: what the table shows.
        header: names of the columns.
        rows: a text, then counts, fractions (nan where there is none) or texts.
        digits: of fractions.
    """
    return grouped_table(caption, header, {"": rows}, digits)


def grouped_table(
    caption: str,
    header: Sequence[str],
    groups: Mapping[str, Sequence[Sequence[Cell]]],
    digits: int = 3,
) -> str:
    """A table in parts with a heading each; the heading "" is not shown.

    Args:
        caption: what the table shows.
        header: names of the columns.
        groups: heading -> rows, as for ``table``.
        digits: of fractions.
    """
    first_row = next((row for rows in groups.values() for row in rows), [""] * len(header))
    columns = "".join(
        f'<th scope="col"{_cell_class(cell)}>{escape(name)}</th>'
        for name, cell in zip(header, first_row, strict=True)
    )
    bodies = []
    for heading, rows in groups.items():
        title = (
            f'<tr><th scope="rowgroup" colspan="{len(header)}">{escape(heading)}</th></tr>\n'
            if heading
            else ""
        )
        lines = "\n".join(_row(row, digits) for row in rows)
        bodies.append(f"<tbody>\n{title}{lines}\n</tbody>")
    return (
        f'<div class="scroll"><table style="--digits:{digits}">\n'
        f"<caption>{escape(caption)}</caption>\n<thead><tr>{columns}</tr></thead>\n{''.join(bodies)}\n</table></div>"
    )


def _row(row: Sequence[Cell], digits: int) -> str:
    name, *cells = row
    values = "".join(_cell(cell, digits) for cell in cells)
    return f'<tr><th scope="row">{escape(str(name))}</th>{values}</tr>'


def _cell_class(cell: Cell) -> str:
    """Numbers stand right, bars and words left."""
    if isinstance(cell, str):
        return ' class="words"' if _WORDS.search(cell) else ""
    return _BAR if isinstance(cell, float) else ""


def _cell(cell: Cell, digits: int) -> str:
    if isinstance(cell, str):
        return f"<td{_cell_class(cell)}>{escape(cell)}</td>"
    if isinstance(cell, int):
        return f"<td>{cell:,}</td>"
    if math.isnan(cell):
        return "<td>–</td>"
    return f'<td{_BAR} style="--share:{cell:.4f}">{cell:.{digits}f}</td>'


def picture(png: bytes, alt: str, widths: tuple[int, int], caption: str = "") -> str:
    """A picture inside the page.

    Args:
        png: content of a PNG file.
        alt: what is to be seen, for those who cannot see it.
        widths: least and greatest width in pixels of the screen; a narrower one scrolls.
        caption: below the picture.
    """
    data = base64.b64encode(png).decode("ascii")
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return (
        f'<figure style="max-width:{widths[1]}px"><div class="scroll">'
        f'<img style="min-width:{widths[0]}px" alt="{escape(alt)}" '
        f'src="data:image/png;base64,{data}"></div>{below}</figure>'
    )


def page(title: str, introduction: str, sections: Mapping[str, Sequence[str]]) -> str:
    """A whole document with links to its sections.

    Args:
        title: of the document.
        introduction: HTML above the first section.
        sections: heading -> pieces of HTML, as the functions of this module return them.
    """
    anchors = {heading: re.sub(r"\W+", "-", heading).lower() for heading in sections}
    links = "".join(
        f'<li><a href="#{anchor}">{escape(heading)}</a></li>' for heading, anchor in anchors.items()
    )
    body = "\n".join(
        f'<section id="{anchors[heading]}">\n<h2>{escape(heading)}</h2>\n'
        + "\n".join(pieces)
        + "\n</section>"
        for heading, pieces in sections.items()
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<header><h1>{escape(title)}</h1>\n{introduction}</header>\n"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n<main>\n{body}\n</main>\n'
        "</body>\n</html>\n"
    )
