"""Galleries of small pictures, which a reader may narrow down where the browser runs scripts."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from df2s2_d2.pages.html_page import paragraph

# Without scripts the form stays hidden, and all pictures are shown.
_SCRIPT = """
(() => {
  const form = document.currentScript.previousElementSibling;
  const narrow = () => {
    const cards = [...document.querySelectorAll(".card")];
    const selects = [...form.querySelectorAll("select")];
    for (const card of cards) {
      const facets = JSON.parse(card.dataset.facets);
      card.hidden = selects.some((s) => s.value && facets[s.name] !== s.value);
    }
    const count = cards.filter((card) => !card.hidden).length;
    form.querySelector("output").textContent = `${count} of ${cards.length} pictures are shown`;
  };
  form.addEventListener("change", narrow);
  form.hidden = false;
  document.addEventListener("DOMContentLoaded", narrow);
})();
"""


@dataclass(frozen=True)
class Card:
    """A picture of a gallery.

    Attributes:
        picture: a JPEG file.
        alt: what is to be seen, for those who cannot see it.
        lines: below the picture.
        facets: what pictures are chosen by, such as ``{"event": "0--Parade"}``.
    """

    picture: bytes
    alt: str
    lines: Sequence[str]
    facets: Mapping[str, str] = field(default_factory=dict)


def choose_spread(groups: Iterable[Hashable], count: int, most_of_a_group: int) -> list[int]:
    """Choose the first items, but few of a group as long as there are others.

    Args:
        groups: of each item, such as its image.
        count: most items to choose.
        most_of_a_group: what "few" means.

    Returns:
        Their positions.
    """
    seen: Counter[Hashable] = Counter()
    chosen, spare = [], []
    for position, group in enumerate(groups):
        if len(chosen) >= count:
            break
        seen[group] += 1
        (chosen if seen[group] <= most_of_a_group else spare).append(position)
    return [*chosen, *spare][:count]


def gallery(cards: Sequence[Card], empty: str = "There are none.", is_wide: bool = False) -> str:
    """Pictures beside and below each other.

    Args:
        cards: in their order.
        empty: what to say without any.
        is_wide: for pictures that need all of the page's width: one a row.
    """
    if not cards:
        return paragraph(empty)
    kind = "gallery wide" if is_wide else "gallery"
    return f'<div class="{kind}">\n{"".join(map(_figure, cards))}</div>'


def facet_filters(cards: Sequence[Card], order: Mapping[str, Sequence[str]] | None = None) -> str:
    """A form that chooses among all pictures of the page.

    Args:
        cards: of all galleries of the page.
        order: facet -> its values in the order in which they are listed; else by their names.
    """
    counts: dict[str, Counter[str]] = {}
    for card in cards:
        for facet, value in card.facets.items():
            counts.setdefault(facet, Counter())[value] += 1
    selects = []
    for facet, values in counts.items():
        if len(values) == 1:  # no choice
            continue
        listed = [v for v in (order or {}).get(facet, sorted(values)) if v in values]
        options = "".join(
            f'<option value="{escape(value)}">{escape(value)} ({values[value]})</option>'
            for value in listed
        )
        selects.append(
            f"<label>{escape(facet.capitalize())} "
            f'<select name="{escape(facet)}"><option value="">all</option>{options}</select>'
            "</label>"
        )
    if not selects:
        return ""
    return (
        f'<form class="filters" hidden autocomplete="off">{" ".join(selects)} <output></output>'
        f"</form><script>{_SCRIPT}</script>"
    )


def _figure(card: Card) -> str:
    facets = escape(json.dumps(dict(card.facets)))
    data = base64.b64encode(card.picture).decode("ascii")
    lines = "<br>".join(map(escape, card.lines))
    return (
        f'<figure class="card" data-facets="{facets}"><img alt="{escape(card.alt)}" '
        f'src="data:image/jpeg;base64,{data}"><figcaption>{lines}</figcaption></figure>\n'
    )
