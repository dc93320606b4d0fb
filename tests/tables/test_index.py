"""The index says of each row what its config and the paper say."""

from __future__ import annotations

import json
import re

import pytest

from df2s2_d2 import list_configs, load_config
from df2s2_d2.tables.index import PACKAGED, find_table, read_tables
from df2s2_d2.tables.runs import Choices, Run, plan_runs
from df2s2_d2.tables.scale import Scale
from df2s2_d2.test_protocols import TEST_PROTOCOLS
from df2s2_d2.training import protocol_of

TABLES = read_tables()
ROWS = [(table, row) for table in TABLES.values() for row in table.trained_rows]
FIGURES = re.compile(r"Easy ([\d.]+), Medium ([\d.]+), Hard ([\d.]+)")


@pytest.mark.parametrize(("table", "row"), ROWS, ids=lambda x: x.name)
def test_every_row_is_planned_with_the_test_that_it_names(table, row, tmp_path):
    run = Run(table, row, 1, Choices(output=tmp_path, data=tmp_path))
    assert protocol_of(run.config).name == row.test
    assert run.config.SEED == 1
    assert load_config(row.config).SOLVER.BASE_LR == run.config.SOLVER.BASE_LR
    small = Run(table, row, 1, Choices(output=tmp_path, data=tmp_path, scale=Scale(0.001)))
    assert small.config.MODEL == run.config.MODEL


@pytest.mark.parametrize(("table", "row"), ROWS, ids=lambda x: x.name)
def test_figures_are_those_that_the_config_gives_for_the_row(table, row):
    figures = FIGURES.search(list_configs()[row.config])
    if figures is None or row.overrides or not row.paper:
        return
    assert list(row.paper.values()) == [float(x) for x in figures.groups()], (table.name, row.name)


def test_most_configs_give_figures_to_compare():
    given = [row for _, row in ROWS if FIGURES.search(list_configs()[row.config])]
    assert len(given) > 20


@pytest.mark.parametrize("folder", ["DF2S2/ablations/", "DSFD/ablations/"])
def test_every_ablation_is_a_row(folder):
    ours = {"DSFD/ablations/FEM_released_R152.yaml", "DSFD/ablations/Base-without-IAM.yaml"}
    configs = {name for name in list_configs() if name.startswith(folder)} - ours
    assert configs <= {row.config for _, row in ROWS}


def test_rows_that_are_not_expressed_say_why():
    table = find_table("df2s2-1")
    (fan,) = [row for row in table.rows if row.name == "fan"]
    assert not fan.config and "attention" in fan.not_expressed
    with pytest.raises(ValueError, match="no config is the row 'fan': FAN is another paper's"):
        table.choose(["fan"])
    assert fan not in table.choose([])


def test_unknown_names_are_told_what_they_are_like():
    with pytest.raises(ValueError, match="no table 'df2s2-5': is it 'df2s2-[1-4]'"):
        find_table("df2s2-5")
    with pytest.raises(ValueError, match="df2s2-2 has no row 'fuse': is it 'fus'"):
        find_table("df2s2-2").choose(["fuse"])


def test_protocols_are_known():
    assert {row.test for _, row in ROWS} <= TEST_PROTOCOLS.keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": "x.yaml", "test": ""}, "either 'config' and 'test' or 'not_expressed'"),
        ({"config": "", "test": ""}, "either 'config' and 'test' or 'not_expressed'"),
        ({"not_expressed": "why"}, "either 'config' and 'test' or 'not_expressed'"),
        ({"paper": {"Easy": 1}}, "'paper' has"),
        ({"name": "../a"}, "no name of a row"),
        ({"speed": 3}, "unexpected keyword argument 'speed'"),
    ],
)
def test_a_wrong_index_is_told_where(tmp_path, change, message):
    path = tmp_path / "papers.json"
    tables = json.loads(PACKAGED.read_text(encoding="utf-8"))
    tables["df2s2-2"]["rows"][0] |= change
    path.write_text(json.dumps(tables))
    with pytest.raises(ValueError, match=f"papers.json is no index of tables: .*{message}"):
        read_tables(path)


def test_an_index_that_is_no_json_is_told_where(tmp_path):
    path = tmp_path / "papers.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ValueError, match="papers.json: expected JSON, found lists or objects nest"):
        read_tables(path)


def test_runs_go_seed_by_seed_and_their_own_keys_are_theirs(tmp_path):
    choices = Choices(output=tmp_path, data=tmp_path, weights=tmp_path / "imagenet")
    runs = plan_runs(find_table("dsfd-1"), [], [2, 1, 2], choices)
    names = ["fssd.seed-2", "fem.seed-2", "fssd.seed-1", "fem.seed-1"]
    assert [run.name for run in runs] == names
    assert runs[0].config.MODEL.BOTTOM_UP.WEIGHTS == str(tmp_path / "imagenet/vgg16.pth")
    with pytest.raises(ValueError, match="SEED is set for each run"):
        Choices(output=tmp_path, data=tmp_path, overrides=("SEED", "3"))
    with pytest.raises(ValueError, match="SOLVER.MAX_ITER: give a value"):
        Choices(output=tmp_path, data=tmp_path, overrides=("SOLVER.MAX_ITER",))
