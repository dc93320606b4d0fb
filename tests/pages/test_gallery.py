from __future__ import annotations

import json

from df2s2_d2.pages.gallery import Card, facet_filters, gallery
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
