from __future__ import annotations

import math

from df2s2_d2.pages.html_page import grouped_table, page, paragraph, picture, table
from tests.pages.html_outline import Outline


def test_table_has_headers_bars_and_thousands():
    rows = [["a <b>", 12345, 0.25, "x & y"], ["c", 0, math.nan, ""]]
    outline = Outline(table('"title"', ["name", "count", "share", "text"], rows, digits=2))
    assert outline.texts["th"] == ["name", "count", "share", "text", "a <b>", "c"]
    assert outline.texts["td"] == ["12,345", "0.25", "x & y", "0", "–"]
    assert outline.texts["caption"] == ['"title"']
    scopes = [cell["scope"] for cell in outline.attributes["th"]]
    assert scopes == ["col"] * 4 + ["row"] * 2
    bars = [cell["style"] for cell in outline.attributes["td"] if cell.get("class") == "bar"]
    assert bars == ["--share:0.2500"]


def test_groups_of_rows_have_headings_over_all_columns():
    outline = Outline(grouped_table("t", ["n", "x"], {"<one>": [["a", 1]], "two": [["b", 2]]}))
    assert outline.texts["th"] == ["n", "x", "<one>", "a", "two", "b"]
    groups = [cell for cell in outline.attributes["th"] if cell["scope"] == "rowgroup"]
    assert [cell["colspan"] for cell in groups] == ["2", "2"]


def test_page_links_to_its_sections_and_escapes_all_names():
    hostile = "<script>alert('x')</script>&\""
    pieces = [paragraph(hostile), picture(b"\x89PNG", hostile, (1, 2), hostile)]
    outline = Outline(page(hostile, paragraph(hostile, note=True), {"One, two": pieces}))
    assert "script" not in outline.texts
    assert outline.texts["title"] == outline.texts["h1"] == outline.texts["figcaption"] == [hostile]
    assert outline.texts["p"] == [hostile, hostile]
    (image,) = outline.attributes["img"]
    assert (image["alt"], image["src"]) == (hostile, "data:image/png;base64,iVBORw==")
    assert [link["href"] for link in outline.attributes["a"]] == ["#one-two"]
    assert [section["id"] for section in outline.attributes["section"]] == ["one-two"]


def test_a_page_takes_nothing_from_elsewhere():
    text = page("Faces", paragraph("One"), {"All": [picture(b"\x89PNG", "a", (1, 2), "a")]})
    assert "://" not in text
    outline = Outline(text)
    assert "link" not in outline.attributes and "@import" not in text
    assert all(image["src"].startswith("data:") for image in outline.attributes["img"])
