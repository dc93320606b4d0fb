from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from benchmarks import long_search, make_table
from df2s2_d2.data.errors import BrokenImageError
from df2s2_d2.data.image_reading import read_image


def test_sizes_are_different_and_within_their_limits():
    sizes = long_search.draw_sizes(500, 16, 1024, seed=0)
    assert len(set(sizes)) == 500
    assert 16 <= np.min(sizes) < 24 and 700 < np.max(sizes) <= 1024
    assert sizes == long_search.draw_sizes(500, 16, 1024, seed=0)


def test_every_tenth_file_is_broken(tmp_path):
    pictures = [np.full((20, 30, 3), 99, np.uint8)]
    broken = long_search.fill_folder(tmp_path / "files", pictures, [(8, 9), (40, 16)], 41)
    found = []
    paths = sorted((tmp_path / "files").iterdir())
    for path in paths:
        try:
            read_image(path, "RGB")
        except BrokenImageError:
            found.append(path)
    assert len(paths) == 41 and len(found) == broken == 5 and paths[::10] == found
    sizes = {Image.open(path).size for path in paths if path not in found}
    assert sizes == {(9, 8), (16, 40)}


@pytest.mark.parametrize(
    ("box", "score", "words"),
    [
        ([0, 0, 9, np.nan], 0.5, "not finite"),
        ([0, 0, 9, 9], np.inf, "not finite"),
        ([0, 0, 9, 9], 1.5, "do not descend from 1 to 0"),
        ([0, 0, 9, 9], 0.95, "do not descend from 1 to 0"),
        ([0, 0, 31, 9], 0.5, "leaves the image"),
        ([-1, 0, 9, 9], 0.5, "leaves the image"),
        ([3, 0, 3, 9], 0.5, "is empty"),
    ],
)
def test_results_that_break_a_promise_end_the_run(box, score, words):
    boxes, scores = np.array([[0, 0, 30, 20], box], float), np.array([0.9, score])
    with pytest.raises(ValueError, match=f"30 x 20 pixels: .*{words}"):
        long_search.check_faces(boxes, scores, (20, 30))
    boxes[1], scores[1] = [1, 2, 3, 4], 0.9
    long_search.check_faces(boxes, scores, (20, 30))


def test_a_process_is_measured_until_it_ends():
    code = "import sys; held = bytearray(60 << 20); sum(range(10**7)); print(flush=True); "
    code += "sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    samples = []
    for sample in long_search._samples(process, every=0.01):
        samples.append(sample)
        if len(samples) == 3:
            process.stdin.close()
    process.stdout.close()
    assert process.returncode == 0 and len(samples) >= 3
    seconds, memory = zip(*samples[:3], strict=True)
    assert seconds[-1] > 0 and min(memory) > 60


def test_the_table_has_the_memory_of_each_tenth():
    part = long_search._summary(90.0, [*range(100), 1000.0])
    assert part["processor_minutes"] == 1.5 and part["peak_mb"] == 1000
    assert part["memory_mb"][0] == 5 and part["memory_mb"][-1] == 95.5
    detect = {"exit_code": 1, "images_with_results": 90, "files": 100, "broken": 10, **part}
    results = {"predictor": {"images": 101, "sizes": 50, "boxes": 7, **part}, "detect": detect}
    environment = {"device": "a processor", "torch": "2", "device_type": "cpu", "cpu_threads": 1}
    document = {"benchmark": "long_search", "environment": environment, "settings": {}}
    lines = make_table.to_markdown({**document, "results": results}).splitlines()
    assert "7 boxes in 50 sizes" in lines[-2]
    assert "90 images, 10 files broken, exit code 1" in lines[-1]
