from __future__ import annotations

import json

import pytest

from df2s2_d2.pages.gallery import Card, choose_spread, facet_filters, gallery
from df2s2_d2.pages.html_page import page
from tests.pages.browsers import browse
from tests.pages.html_outline import Outline


def test_cards_show_picture_lines_and_facets_escaped():
    card = Card(b"\xff\xd8", 'a "face"', ["<b>", "& more"], {"event": '0--"Parade"', "size": "x"})
    outline = Outline(gallery([card]))
    (image,) = outline.attributes["img"]
    assert image == {"alt": 'a "face"', "src": "data:image/jpeg;base64,/9g="}
    assert outline.texts["figcaption"] == ["<b>", "& more"]
    (figure,) = outline.attributes["figure"]
    assert json.loads(figure["data-facets"]) == {"event": '0--"Parade"', "size": "x"}
    assert gallery([], "Nothing & no one.") == "<p>Nothing &amp; no one.</p>"


def test_form_lists_each_value_with_its_number_and_is_hidden_without_scripts():
    cards = [Card(b"", "", [], {"size": size}) for size in ("8 px", "16 px", "8 px")]
    outline = Outline(facet_filters(cards, {"size": ["4 px", "8 px", "16 px"]}))
    assert outline.texts["option"] == ["all", "8 px (2)", "16 px (1)"]
    assert [option["value"] for option in outline.attributes["option"]] == ["", "8 px", "16 px"]
    (form,) = outline.attributes["form"]
    assert "hidden" in form
    assert [select["name"] for select in outline.attributes["select"]] == ["size"]
    assert facet_filters([Card(b"", "", [])]) == ""
    assert facet_filters([Card(b"", "", [], {"size": "8 px"})] * 2) == ""  # no choice


@pytest.mark.parametrize(
    ("groups", "count", "chosen"),
    [
        ("aaab", 3, [0, 1, 3]),  # few of a group, as long as there are others
        ("aaab", 4, [0, 1, 3, 2]),
        ("aaaa", 3, [0, 1, 2]),
        ("", 3, []),
        ("ab", 0, []),
    ],
)
def test_choice_is_spread_over_groups(groups, count, chosen):
    assert choose_spread(groups, count, most_of_a_group=2) == chosen


@pytest.mark.parametrize(("size", "shown"), [("", 3), ("8 px", 2)])
def test_browser_hides_what_is_filtered_out(tmp_path, size, shown):
    cards = [Card(b"", "", [], {"size": name, "event": "e"}) for name in ("8 px", "16 px", "8 px")]
    document = page("Title", "", {"Cards": [facet_filters(cards), gallery(cards)]})
    choice = f"""<script>addEventListener("load", () => {{
      const select = document.querySelector("select[name=size]");
      select.value = {json.dumps(size)};
      select.dispatchEvent(new Event("change", {{bubbles: true}}));
    }})</script></body>"""
    (tmp_path / "page.html").write_text(document.replace("</body>", choice), encoding="utf-8")
    outline = Outline(browse(tmp_path / "page.html", "--dump-dom"))
    hidden = ["hidden" in figure for figure in outline.attributes["figure"]]
    assert hidden.count(False) == shown
    assert outline.texts["output"] == [f"{shown} of 3 pictures are shown"]
    assert "hidden" not in outline.attributes["form"][0]
