"""What a document of HTML says, read by the parser of the standard library."""

from __future__ import annotations

from html.parser import HTMLParser


class Outline(HTMLParser):
    """Checks that elements nest, and collects texts and attributes."""

    VOID = {"meta", "img", "br"}

    def __init__(self, document: str):
        super().__init__()
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.sequence: list[tuple[str, str]] = []
        self.attributes: dict[str, list[dict]] = {}
        self.feed(document)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.attributes.setdefault(tag, []).append(dict(attributes))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and data.strip():
            self.texts.setdefault(self.open[-1], []).append(data.strip())
            self.sequence.append((self.open[-1], data.strip()))
