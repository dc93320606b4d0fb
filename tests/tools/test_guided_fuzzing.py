from __future__ import annotations

import importlib.util
import random

import guided_fuzzing
import pytest
from hypothesis import strategies as st

from tests.fuzzing.fuzzing import fuzz


def test_all_fuzz_tests_are_found():
    names = guided_fuzzing.find_tests()
    for path in guided_fuzzing.FOLDER.glob("test_*.py"):
        wanted = path.read_text(encoding="utf-8").count("\n@fuzz(")
        found = [name for name in names if name.startswith(f"tests.fuzzing.{path.stem}:test_")]
        assert len(found) == wanted


def test_bytes_become_cases_of_a_test(tmp_path):
    seen = []

    @fuzz(st.integers(0, 9))
    def check(folder, case):
        seen.append((folder, case))
        assert case != 7

    run = guided_fuzzing.case_runner(check, tmp_path)
    generator = random.Random(0)
    with pytest.raises(AssertionError):
        for _ in range(1000):
            run(generator.randbytes(64))
    assert {folder for folder, _ in seen} == {tmp_path}
    assert {case for _, case in seen} <= set(range(10)) and seen[-1] == (tmp_path, 7)


def test_test_without_files_is_run(tmp_path):
    seen = []

    @fuzz(st.just("case"))
    def check(case):
        seen.append(case)

    guided_fuzzing.case_runner(check, tmp_path)(b"\0" * 64)
    assert seen == ["case"]


def test_lack_of_atheris_is_one_sentence(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"atheris is missing: pip install -e '\.\[fuzzing\]'"):
        guided_fuzzing.main([])


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs atheris")
def test_cases_are_told_and_failures_are_failures(capfd):
    with pytest.raises(SystemExit) as ended:
        guided_fuzzing.main(["--seconds", "3", "--only", "test_files_of_events"])
    out = capfd.readouterr().out
    assert ended.value.code == 0 and "1 of 1 tests ended well" in out
    assert "test_detections:test_files_of_events: " in out and " places reached" in out


def test_unknown_test_is_told(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    with pytest.raises(SystemExit, match="no fuzz test has 'nothing' in its name"):
        guided_fuzzing.main(["--only", "nothing"])
