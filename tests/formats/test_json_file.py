from __future__ import annotations

import pytest

from df2s2_d2.evaluation.protocol import read_protocol
from df2s2_d2.formats.coco_json import read_images
from df2s2_d2.formats.coco_results import read_coco_results
from df2s2_d2.formats.json_file import as_id, is_number_below, read_json, shorten

DEEP = "[" * 100_000 + "]" * 100_000


def read_protocol_beside(path) -> None:
    path.rename(path.parent / "protocol.json")
    read_protocol(path.parent / "found")


@pytest.mark.parametrize("read", [read_images, read_coco_results, read_json, read_protocol_beside])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (DEEP.encode(), "nested too deeply"),
        (b"1" * 5_000, "a number that is too long"),
        (b"{", "line 1, column 2: expected JSON, found a fault"),
        (b"\xff\xfe[", "expected JSON in UTF-8"),
        (b"", "line 1, column 1: expected JSON"),
    ],
)
def test_what_python_does_not_read_is_one_error_that_names_the_file(tmp_path, read, content, words):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        read(path)
    assert str(tmp_path) in str(caught.value) and len(str(caught.value)) < 400


def test_a_byte_order_mark_is_passed_over(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [1]}', encoding="utf-8-sig")
    assert read_json(tmp_path / "a.json") == {"a": [1]}


@pytest.mark.parametrize(
    ("value", "name"),
    [(3, 3), (3.0, 3), ("a", "a"), ("", ""), (True, None), (3.5, None), (None, None), ([], None)],
)
def test_ids_are_whole_numbers_or_texts(value, name):
    assert as_id(value) == name and type(as_id(value)) is type(name)


@pytest.mark.parametrize("value", [True, "3", None, [], float("nan"), float("inf"), 10**400, -10.0])
def test_other_values_are_no_numbers_of_that_size(value):
    assert not is_number_below(value, 10)
    assert is_number_below(-9.5, 10)


def test_messages_stay_short():
    nested: list = []
    for _ in range(100_000):
        nested = [nested]
    assert len(shorten(nested)) < 80
    assert len(shorten({"a" * 500: "b" * 500})) <= 80
    assert shorten({"id": True}) == "{'id': True}"
