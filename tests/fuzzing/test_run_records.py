from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import strategies as st

from df2s2_d2.inference.media.result_files import ResultFiles
from df2s2_d2.inference.media.run_record import RunRecord, read_record
from df2s2_d2.inference.media.sources import Source
from tests.fuzzing.cases import json_objects, json_values, mutated, noise
from tests.fuzzing.fuzzing import ends_well, fuzz

FORMATS = ("jsonl", "csv", "coco", "wider")
SETTINGS = {"--save": list(FORMATS), "--blur": None, "weights": "sha256:1"}
SOURCES = [Source(Path(f"{name}.jpg"), PurePosixPath(f"{name}.jpg")) for name in "abcd"]

numbers = st.integers(-1, 9)
states = json_objects(end=numbers, listed=numbers, results_end=numbers, images_end=numbers)
RECORD = json_objects(
    version=st.just(1),
    settings=st.just(SETTINGS) | st.dictionaries(st.text(max_size=50), json_values, max_size=9),
    inputs=st.just(4),
    complete=st.booleans(),
    done=st.lists(st.lists(numbers, min_size=2, max_size=2), max_size=3)
    | st.sampled_from(([[0, 10**13]], [[0, 1], [3, 3]], [[0, 3]] * 1_000)),
    failures=st.dictionaries(
        st.sampled_from(("0", "3", "01", "-1", "a", "٣", "9" * 5000)), st.lists(st.text())
    ),
    checkpoint=json_objects(
        results=st.dictionaries(st.sampled_from(FORMATS), states, max_size=4).map(
            lambda files: {"faces": 3, **files}
        ),
        counts=st.lists(numbers, min_size=3, max_size=3),
    ),
)
RIGHT = {
    "version": 1,
    "settings": SETTINGS,
    "inputs": 4,
    "complete": False,
    "done": [[0, 1], [3, 3]],
    "failures": {"1": ["Wrong"]},
    "checkpoint": {
        "results": {"faces": 3, "jsonl": {"end": 9}, "csv": {"end": 9}, "wider": {}},
        "counts": [3, 0, 2],
    },
}
TOKENS = (b"9" * 5000, b"-1", b"[" * 5000, b"null", b"true", b'"', b"{", b"]", b"1e999", b"\xff")


@fuzz(
    st.builds(lambda value: json.dumps(value).encode(), RECORD)
    | mutated(json.dumps(RIGHT).encode(), tokens=TOKENS)
    | noise(b'{"version": 1')
)
def test_records_of_runs(folder, case):
    path = folder / "run.json"
    path.write_bytes(case)
    record = RunRecord(SOURCES, path, SETTINGS)
    if ends_well(record.load, str(path)):
        assert len(record.remaining) + record.num_done == len(SOURCES)
        assert all(isinstance(text, str) for text in record.failures)
        continue_results(folder, record)


def continue_results(folder: Path, record: RunRecord) -> None:
    if record.checkpoint is None:
        return
    _, _, _ = record.checkpoint["counts"]
    for name in ("detections.jsonl", "detections.csv", "coco.json", "coco_images.json"):
        (folder / name).write_bytes(bytes(12))
    state = record.checkpoint["results"]

    def go_on() -> None:
        with ResultFiles(folder, FORMATS, state=state):
            pass

    ends_well(go_on, str(folder))


def test_the_seed_is_a_record(folder):
    path = folder / "run.json"
    path.write_text(json.dumps(RIGHT))
    record = RunRecord(SOURCES, path, SETTINGS)
    assert record.load()
    assert (record.remaining, record.failures) == (SOURCES[2:3], ["Wrong"])


@pytest.mark.parametrize(
    "changes",
    [
        {"done": [[0, 10**13]], "inputs": 4},
        {"done": [[0, 3]] * 2},
        {"failures": {"01": []}},
        {"checkpoint": {"results": {"faces": 3, "jsonl": 9}, "counts": [1, 2, 3]}},
        {"checkpoint": {"results": {"faces": 3}, "counts": [1, 2]}},
        {"settings": []},
    ],
)
def test_what_no_run_writes_is_told(folder, changes):
    (folder / "run.json").write_text(json.dumps(RIGHT | changes))
    with pytest.raises(ValueError, match="is no record of a run .its (done|fail|check|settings)"):
        read_record(folder / "run.json")


def test_a_record_of_more_inputs_is_not_gone_on_with(folder):
    path = folder / "run.json"
    path.write_text(json.dumps(RIGHT | {"inputs": 10**13, "done": [[0, 10**12]]}))
    with pytest.raises(ValueError, match="is of a run of 10,000,000,000,000 inputs, these are 4"):
        RunRecord(SOURCES, path, SETTINGS).load()
