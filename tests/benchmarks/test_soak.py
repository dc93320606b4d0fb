from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import make_table, soak
from df2s2_d2.data.errors import BrokenImageError
from df2s2_d2.data.image_reading import read_image
from df2s2_d2.formats.wider_face_text import read_annotations


def test_drawn_data_have_faults(tmp_path):
    base = soak.draw_data(tmp_path / "data", num_train=16, image_size=128) / "wider_face"
    pictures = sorted((base / "WIDER_train/images").rglob("*.jpg"))
    for index, path in enumerate(pictures):
        if index % soak.BROKEN_EVERY:
            read_image(path, "RGB")
        else:
            with pytest.raises(BrokenImageError):
                read_image(path, "RGB")
    images = read_annotations(str(base / "wider_face_split/wider_face_train_bbx_gt.txt"))
    boxes = np.concatenate([image.boxes for image in images])
    assert (boxes[:, 2] == 0).sum() == len(boxes) // soak.AREALESS_EVERY > 0
    assert any(len(image.boxes) == 0 for image in images)


@pytest.mark.parametrize("seed", range(5))
def test_a_run_is_disturbed_at_steps_far_apart(seed):
    moments = soak.draw_moments(4, 2000, seed)
    assert 0 < moments[0] and moments[-1] < 2000
    assert min(np.diff(moments)) >= 200


def written_run(folder, rows: list[dict], torn: str = "") -> soak.Run:
    run = soak.Run(folder, folder, iterations=40, workers=0)
    run.steps_file.write_text("".join(json.dumps(row) + "\n" for row in rows) + torn)
    (folder / "output").mkdir()
    metrics = {"iteration": 3, "wider_face/AP_hard": 0.25}
    (folder / "output/metrics.json").write_text(json.dumps(metrics) + "\n")
    return run


def step(number: int, loss: float, images=("a", "b"), broken: int = 0) -> dict:
    counts = {"faces": 3, "faceless": 1, "broken": broken, "memory_mb": 100.0 + number}
    return {"step": number, "loss": loss, "images": list(images), **counts}


def test_the_last_time_that_a_step_was_taken_counts(tmp_path):
    alone = written_run(tmp_path / "alone", [step(i, 1.0 + i, broken=i) for i in range(4)])
    rows = [step(0, 1.0), step(1, 9.0), step(1, 2.0), step(2, 3.5), step(3, 4.0, "ac", broken=3)]
    disturbed = written_run(tmp_path / "disturbed", rows, torn='{"step": 4, "lo')
    assert soak.compare(disturbed, alone) == {
        "steps_in_one_only": 0,
        "steps_with_other_images": 1,
        "largest_difference_of_loss": 0.5,
    }
    summary = soak.summarize(disturbed)
    assert (summary["steps"], summary["steps_taken_again"]) == (4, 2)
    assert (summary["images"], summary["faces"], summary["faceless_images"]) == (8, 12, 4)
    assert summary["broken_images"] == 3
    assert summary["memory_mb"] == {"after_a_tenth": 101.0, "at_the_end": 103.0}
    assert summary["figures"] == {"wider_face/AP_hard": 0.25}


def test_the_table_names_faults_and_differences(tmp_path):
    run = written_run(tmp_path / "run", [step(0, 1.0), step(1, 2.0)])
    run.starts = [
        {"ended_by": "SIGKILL", "at": 1, "exit_code": -9},
        {"ended_by": "the last step", "at": -1, "exit_code": 0},
    ]
    summary = soak.summarize(run)
    document = {
        "benchmark": "soak",
        "environment": {"device": "CPU", "torch": "2", "device_type": "cpu", "cpu_threads": 1},
        "settings": {},
        "results": {
            "alone": summary,
            "disturbed": summary,
            "differences": soak.compare(run, run),
        },
    }
    table = make_table.to_markdown(document)
    assert "Disturbed by SIGKILL at step 1;" in table
    assert "largest difference of loss: 0.0" in table
    assert "| starts | 2 | 2 |" in table and "| MB at the end | 101 | 101 |" in table
