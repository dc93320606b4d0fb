from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from df2s2_d2.formats.growing_files import JsonArrayFile, array_lines

ROOT = Path(__file__).resolve().parents[2]


def test_half_an_item_is_removed_at_the_end(tmp_path):
    path = tmp_path / "a.json"
    file = JsonArrayFile(path)
    file.start()
    file.add([{"a": 1}])
    end = file.end
    file.add([{"b": "x" * 100}])
    file.end = end  # as if the second had not been written to its end
    file.close()
    assert json.loads(path.read_text()) == [{"a": 1}]


@pytest.mark.parametrize("content", [None, "", "[1]", "a longer text than what would be written"])
def test_file_that_was_not_started_is_as_it_was(tmp_path, content):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content)
    JsonArrayFile(path).close()
    assert (path.read_text() if path.exists() else None) == content


def test_file_begins_anew_or_goes_on(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("an earlier text, longer than what follows " * 9)
    file = JsonArrayFile(path, '{"items": ', "}")
    file.start()
    assert json.loads(path.read_text()) == {"items": []}
    file.add([{"a": 1}, {"a": 2}])
    end = file.end
    file.add([{"a": 3}])
    file.close()
    again = JsonArrayFile(path, '{"items": ', "}", end)
    again.start()
    assert json.loads(path.read_text()) == {"items": [{"a": 1}, {"a": 2}]}
    again.add([{"a": 4}])
    again.close()
    assert [json.loads(line) for line in array_lines(path)] == [{"a": 1}, {"a": 2}, {"a": 4}]


def test_file_that_became_shorter_is_not_continued(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("[")
    with pytest.raises(ValueError, match=r"a\.json has 1 bytes, less than the 10"):
        JsonArrayFile(path, end=10)
    assert path.read_text() == "["


def test_a_file_that_is_being_written_is_not_written_by_another(tmp_path):
    path = tmp_path / "a.json"
    file = JsonArrayFile(path)
    file.start()
    file.add([{"a": 1}])
    for end in (None, file.end):
        with pytest.raises(BlockingIOError, match="a.json is being written by another run: wait"):
            JsonArrayFile(path, end=end)
    file.add([{"a": 2}])
    file.close()
    assert json.loads(path.read_text()) == [{"a": 1}, {"a": 2}]
    JsonArrayFile(path).close()


def test_a_file_of_a_process_that_was_killed_is_free(tmp_path):
    path = tmp_path / "a.json"
    code = (
        "import os, sys; from pathlib import Path\n"
        "from df2s2_d2.formats.growing_files import JsonArrayFile\n"
        "file = JsonArrayFile(Path(sys.argv[1])); file.start(); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, path], cwd=ROOT).returncode == -9
    JsonArrayFile(path).close()
    assert json.loads(path.read_text()) == []
