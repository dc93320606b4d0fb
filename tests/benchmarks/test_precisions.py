from __future__ import annotations

import pytest

from benchmarks import precisions


def test_ap_of_each_precision_stands_beside_that_of_the_first(
    sample_dataset, monkeypatch, tmp_path, capsys
):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(sample_dataset))
    output = tmp_path / "precisions.json"
    options = ["--output", str(output), "--device", "cpu", "--photographs", "2"]
    options += ["--opts", "TEST.AUG.ENABLED", "False", "INPUT.MIN_SIZE_TEST", "160"]
    document = precisions.main(options)
    rows = document["results"]
    assert [row["precision"] for row in rows] == ["fp32", "bf16", "fp16"]
    assert {row["images"] for row in rows} == {2} and output.is_file()
    for row in rows:
        assert row["config"] == "faces-small TEST.AUG.ENABLED False INPUT.MIN_SIZE_TEST 160"
        for name, value in row["ap"].items():
            expected = pytest.approx(value - rows[0]["ap"][name], nan_ok=True)
            assert row["difference"][name] == expected
    # Two drawn pictures, whose few easy faces may be none.
    assert rows[0]["ap"]["AP_medium"] > 0.1
    assert abs(rows[2]["difference"]["AP_medium"]) < 0.05
    assert "| bf16 | 2 |" in capsys.readouterr().out
