from __future__ import annotations

import numpy as np

from df2s2_d2.evaluation import read_detections, write_detections


def test_detections_become_a_checked_archive(run_tool, tmp_path):
    rows = np.array([[1, 2, 3, 4, 0.5], [5, 6, 7, 8, 0.75]])
    write_detections(tmp_path / "found", {"e/a": rows})
    (tmp_path / "list.txt").write_text("e/a.jpg\ne/b.jpg\n")
    (tmp_path / "protocol.json").write_text('{"resize": "short side 800"}')
    output = tmp_path / "submission.zip"
    run = run_tool("make_submission", tmp_path / "found", tmp_path / "list.txt", "--output", output)
    assert run.returncode == 0, run.stderr
    first, missing, protocol = run.stdout.splitlines()
    assert first.endswith("submission.zip: 2 detections in 2 images, checked")
    assert missing.endswith("found: 1")
    assert protocol == "[short side 800]"
    written = read_detections(output)
    assert written["e/a"].tolist() == rows[::-1].tolist() and written["e/b"].shape == (0, 5)

    (tmp_path / "list.txt").write_text("e/b.jpg\n")
    run = run_tool("make_submission", tmp_path / "found", tmp_path / "list.txt", "--output", output)
    assert run.returncode == 1
    (error,) = run.stderr.splitlines()
    assert "it has 'e/a', where 'e/b' is expected" in error
