"""What a table tells of a training."""

from __future__ import annotations

import json

import pytest

from df2s2_d2.tables.collecting import summarize_training


def test_steps_whose_losses_were_not_read_count_too(tmp_path):
    """As on a GPU, which is waited for every 20 steps: the last of 47 steps has no loss."""
    rows = [
        {"iteration": 19, "lr": 0.1, "total_loss": 3.0, "time": 0.5, "data_time": 0.1},
        {"iteration": 39, "lr": 0.1, "total_loss": 2.0, "time": 0.7, "data_time": 0.2},
        {"iteration": 46, "lr": 0.1, "time": 0.7},
        # Of the test behind the last step.
        {"iteration": 47, "wider_face/AP_hard": 0.5},
    ]
    path = tmp_path / "metrics.json"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    summary = summarize_training(path)
    assert summary["steps"] == 47 and summary["final_loss"] == 2.0
    assert summary["seconds_per_step"] == pytest.approx(0.6)
    assert summary["hours"] == pytest.approx(0.6 * 47 / 3600)


def test_a_file_without_steps_is_refused(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text('{"iteration": 0, "wider_face/AP_hard": 0.5}\n')
    with pytest.raises(ValueError, match="metrics.json has no training steps"):
        summarize_training(path)
