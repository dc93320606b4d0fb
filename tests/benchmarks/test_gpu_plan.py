"""The plan for minutes on a GPU, rehearsed on the CPU, so that none is lost to a mistake in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import first_steps, gpu_plan
from benchmarks.gpu_parts import Part, Plan, model_steps, parts
from benchmarks.gpu_plan import do_part, write_summary

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(tmp_path, tmp_path / "scratch", True, "", 4, ())


def test_the_rehearsal_goes_through_every_part(tmp_path):
    environment = {**os.environ, "DRY_RUN": "1", "PYTHON": sys.executable}
    environment.pop("DETECTRON2_DATASETS", None)
    script = ROOT / "benchmarks/run_on_gpu.sh"
    command = ["bash", script, tmp_path / "results"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    output = tmp_path / "results"
    summary = json.loads((output / "summary.json").read_text())
    failures = [row["log_end"] for row in summary["parts"] if row["exit_code"]]
    assert run.returncode == 0, failures or run.stderr[-3000:]
    assert [row["part"] for row in summary["parts"]] == list(parts(0))
    written = {path.name for path in output.iterdir()}
    names = "device first_steps inference inference_compiled training matching test_x1 test_x2"
    assert {f"{name}.json" for name in names.split()} <= written
    assert {f"{name}.log" for name in parts(0)} <= written
    assert {"model_metrics.json", "model.safetensors.00"} <= written
    attempts = json.loads((output / "first_steps.json").read_text())["results"]
    assert len(attempts) == 7 and not any(row["error"] for row in attempts)
    sizes = [
        json.loads((output / f"test_x{factor}.json").read_text())["protocol"]["resize"]
        for factor in (1, 2)
    ]
    assert sizes == ["short side 64"] * 2
    tables = (output / "results.md").read_text()
    assert "| attempt | s | failure |" in tables and "### training" in tables


def test_parts_fit_into_the_time_of_two_commands():
    whole = parts(440)
    model = {"data", "model", "test_x1", "test_x2", "weights"}
    for names in (whole.keys() - model, model - {"data"}):
        assert sum(whole[name].seconds for name in names) < 590


def fail(_plan: Plan) -> None:
    print("on the way")
    raise ZeroDivisionError("what it was")


def crash(_plan: Plan) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(_plan: Plan) -> None:
    subprocess.Popen(["sleep", "600"])
    time.sleep(600)


def test_what_fails_or_crashes_ends_alone_and_is_told(plan):
    failed = do_part("fail", Part(600, fail), plan, 600)
    assert failed["exit_code"] == 1
    assert failed["log_end"].startswith("on the way\nTraceback")
    assert "ZeroDivisionError: what it was" in failed["log_end"]
    crashed = do_part("crash", Part(600, crash), plan, 600)
    assert crashed["exit_code"] < 0
    fine = do_part("fine", Part(600, lambda plan: print(plan.batch_size)), plan, 600)
    assert (fine["exit_code"], fine["log_end"]) == (0, "")
    assert (plan.output / "fine.log").read_text() == "4\n"
    assert write_summary(plan, [failed, fine, crashed]) == ["fail", "crash"]
    assert json.loads((plan.output / "summary.json").read_text())["failed"] == ["fail", "crash"]


def test_what_takes_too_long_is_ended_with_all_that_it_has_started(plan):
    late = do_part("sleep", Part(600, sleep), plan, 0.5)
    assert late["exit_code"] == -15 and late["end"] == "took more than 0 s"
    none = do_part("sleep", Part(600, sleep), plan, 0)
    assert (none["exit_code"], none["end"]) == (None, "no time was left")
    # A training that is stopped by its limit has saved what it is after.
    assert write_summary(plan, [{"part": "model", "exit_code": 143}]) == []


def test_the_model_is_trained_as_long_as_it_was_measured_to_take(plan):
    assert model_steps(plan, 400) == 400 * 0.75 * 60 / 4
    rows = [
        {"model": "df2s2_d2", "variant": "channels last", "precision": "bf16", "v": 200.0},
        {"model": "df2s2_d2", "variant": "plain", "precision": "fp32", "v": 900.0},
        {"model": "detectron2 RetinaNet", "variant": "channels last", "precision": "bf16", "v": 9},
    ]
    for row in rows:
        row["images_per_second"] = row.pop("v")
    (plan.output / "training.json").write_text(json.dumps({"results": rows}))
    assert model_steps(plan, 400) == 400 * 0.75 * 200 / 4


def test_attempts_that_fail_are_written_down_and_the_others_go_on(tmp_path, monkeypatch):
    def attempts(*_):
        yield "bad", lambda: fail(None)
        yield "good", lambda: None

    monkeypatch.setattr(first_steps, "attempts", attempts)
    output = tmp_path / "first_steps.json"
    words = ["--device", "cpu", "--config-files", "x.yaml", "--output", str(output)]
    with pytest.raises(SystemExit, match="1 of 2 attempts failed"):
        first_steps.main(words)
    bad, good = json.loads(output.read_text())["results"]
    assert "ZeroDivisionError: what it was" in bad["error"] and good["error"] is None


def test_without_detectron2_and_wheels_it_is_said_at_once(tmp_path):
    environment = {**os.environ, "PYTHON": "false", "WHEELS": str(tmp_path / "none")}
    script = ROOT / "benchmarks/run_on_gpu.sh"
    run = subprocess.run(
        ["bash", script, tmp_path / "results"], env=environment, capture_output=True, text=True
    )
    assert run.returncode == 1 and "there is no folder" in run.stderr
    assert subprocess.run(["bash", script], capture_output=True).returncode == 2


def test_parts_are_chosen_by_name(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(
        gpu_plan,
        "do_part",
        lambda name, *_: (
            done.append(name)
            or {"part": name, "exit_code": 0, "seconds": 0.0, "end": "", "log_end": ""}
        ),
    )
    assert gpu_plan.main([str(tmp_path), "--parts", "training", "device"]) == 0
    assert done == ["device", "training"]
