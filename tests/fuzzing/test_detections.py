from __future__ import annotations

import io
import json
import zipfile

import numpy as np
from hypothesis import strategies as st

from df2s2_d2.evaluation.fddb import read_detections as read_fddb_detections
from df2s2_d2.evaluation.protocol import read_protocol
from df2s2_d2.formats.detection_files import read_detections
from tests.fuzzing.cases import json_objects, mutated, noise, texts
from tests.fuzzing.fuzzing import ends_well, fuzz

EVENT_FILE = b"a\n3\n1 2 3 4 0.9\n5.5 6 7 8 0.8\n9 9 0 9 1e-05\n"
FDDB_FILE = b"a/b/img_1\n2\n1 2 3 4 0.9\n5 6 7 8 0.5\na/b/img_2\n1\n9 8 0.5 70 80 0.4\n"
TOKENS = (b"\n", b" ", b"-1", b"-40", b"1e308", b"9" * 5000, b"nan", b"0.3", b"\xef\xbb\xbf")


def archive_of(compression: int, **files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


ARCHIVES = tuple(
    archive_of(kind, **{"e/a.txt": EVENT_FILE, "e/b.txt": b"", "f/c.txt": EVENT_FILE * 40})
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
) + (archive_of(zipfile.ZIP_DEFLATED, **{"e/a.txt": bytes(8 << 20)}),)
RESULTS = st.lists(
    json_objects(
        image_id=st.integers(0, 5) | st.just("e/a"),
        bbox=st.lists(st.floats(0, 999), min_size=4, max_size=4),
        score=st.floats(0, 1),
        category_id=st.just(1),
    ),
    max_size=5,
)
RIGHT_RESULTS = b'[{"image_id": "e/a", "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]'


LINES = st.lists(
    json_objects(
        file=st.sampled_from(("e/a.jpg", "e\\b.jpg", "c.mp4", "", "/", "..")),
        frame=st.none() | st.integers(-1, 9) | st.just(10**400),
        faces=st.lists(
            json_objects(
                box=st.lists(st.floats(0, 999), min_size=4, max_size=4) | st.just("1234"),
                score=st.floats(0, 1),
            ),
            max_size=3,
        ),
    ),
    max_size=4,
)
RIGHT_LINES = b"""{"file": "e/a.jpg", "faces": [{"box": [1, 2, 30, 40], "score": 0.5}]}
{"file": "c.mp4", "frame": 3, "time": 0.5, "faces": []}
"""


def check_rows(detections) -> None:
    for rows in (detections or {}).values():
        assert rows.ndim == 2 and rows.shape[1] in (5, 6) and rows.dtype == np.float64
        assert (np.abs(rows[:, :-1]) < 1e7).all() and np.isfinite(rows).all()


@fuzz(texts() | mutated(EVENT_FILE, tokens=TOKENS) | noise(b"a\n1\n"))
def test_files_of_events(folder, case):
    path = folder / "found/e/a.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(case)
    check_rows(ends_well(lambda: read_detections(folder / "found"), str(folder / "found")))


@fuzz(mutated(*ARCHIVES) | noise(ARCHIVES[1][:100]))
def test_archives(folder, case):
    path = folder / "found.zip"
    path.write_bytes(case)
    check_rows(ends_well(lambda: read_detections(path), str(path)))


@fuzz(
    st.builds(lambda value: json.dumps(value).encode(), RESULTS)
    | mutated(RIGHT_RESULTS, tokens=(*TOKENS, b"[" * 5000, b"null", b"true", b"{", b"]"))
)
def test_coco_results(folder, case):
    path = folder / "found.json"
    path.write_bytes(case)
    check_rows(ends_well(lambda: read_detections(path), str(path)))


@fuzz(
    st.builds(lambda lines: "\n".join(map(json.dumps, lines)).encode(), LINES)
    | mutated(RIGHT_LINES, tokens=(*TOKENS, b"[" * 5000, b"null", b"true", b"{", b"]"))
)
def test_lines_of_json(folder, case):
    path = folder / "found.jsonl"
    path.write_bytes(case)
    check_rows(ends_well(lambda: read_detections(path), str(path)))


@fuzz(texts() | mutated(FDDB_FILE, tokens=TOKENS) | noise(FDDB_FILE))
def test_fddb_detections(folder, case):
    path = folder / "found.txt"
    path.write_bytes(case)
    check_rows(ends_well(lambda: read_fddb_detections(path), str(path)))


PROTOCOL = json_objects(
    resize=st.just("VGA"),
    scales=st.lists(st.text(max_size=3), max_size=3),
    flip=st.booleans(),
    nms_threshold=st.floats(0, 1),
    max_detections=st.integers(0, 900),
)


@fuzz(
    st.builds(lambda value: json.dumps(value).encode(), PROTOCOL)
    | mutated(b'{"resize": "VGA", "scales": ["a"], "nms_threshold": 0.4}', tokens=TOKENS)
)
def test_protocols(folder, case):
    (folder / "protocol.json").write_bytes(case)
    protocol = ends_well(lambda: read_protocol(folder / "found"), str(folder / "protocol.json"))
    assert protocol is None or protocol.describe()
