from __future__ import annotations

import pytest

from df2s2_d2.formats.yaml_file import read_yaml
from df2s2_d2.formats.yolo_layout import find_layout


def test_plain_values_are_read(tmp_path):
    path = tmp_path / "data.yaml"
    path.write_text("\ufeffnames: &a {0: face}\nothers: *a\n", encoding="utf-8")
    assert read_yaml(path) == {"names": {0: "face"}, "others": {0: "face"}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "train: !!python/object/apply:os.mkdir ['{}/breach']",
            "could not determine a constructor",
        ),
        ("a: &a {{train: x}}\n<<: *a", "line 2 has a merged key"),
        ("{}: [", "expected the node content"),
        ("[" * 5_000, "nested too deeply"),
        ("train: 2001-99-99", "month must be in 1..12"),
    ],
)
def test_what_is_no_plain_yaml_is_told(tmp_path, text, reason):
    path = tmp_path / "data.yaml"
    path.write_text(text.format(tmp_path) if "{" in text else text)
    with pytest.raises(ValueError, match=f"data.yaml is no YAML that can be read: .*{reason}"):
        find_layout(path)
    assert not (tmp_path / "breach").exists()


def test_values_that_are_shared_a_billion_times_are_told_briefly(tmp_path):
    lines = ["a: &a [x, x]"]
    lines += [f"{k}: &{k} [{', '.join(['*' + chr(ord(k) - 1)] * 9)}]" for k in "bcdefghijkl"]
    path = tmp_path / "data.yaml"
    for key in ("train", "path"):
        path.write_text("\n".join([*lines, "val: images", f"{key}: *l"]))
        with pytest.raises(ValueError, match="data.yaml: expected .* found ") as error:
            find_layout(path, "train" if key == "train" else None)
        assert len(str(error.value)) < 500
