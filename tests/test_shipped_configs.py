from __future__ import annotations

from pathlib import Path

import pytest

import df2s2_d2
from df2s2_d2 import list_configs, load_config
from df2s2_d2.shipped_configs import config_path

ROOT = Path(__file__).resolve().parents[1]


def test_every_config_is_listed_with_a_sentence():
    configs = list_configs()
    folder = ROOT / "configs"
    assert list(configs) == sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*.yaml")
    )
    assert configs["DF2S2/DF2S2_R50.yaml"] == (
        "DF²S², table 4: Easy 95.6, Medium 94.7, Hard 89.8, tested at short sides {600 ... 1400}"
    )
    # Of a comment of several lines, and of several sentences.
    assert configs["DF2S2/ablations/Fus_Seg_Aug_R50.yaml"].endswith("tested at short side 800")
    assert all(len(sentence) > 10 for sentence in configs.values())


def test_names_are_loaded_from_any_folder(tmp_path, monkeypatch):
    expected = load_config(str(ROOT / "configs/DSFD/DSFD_R101.yaml"))
    monkeypatch.chdir(tmp_path)
    assert load_config("DSFD/DSFD_R101.yaml") == expected
    assert load_config("configs/DSFD/DSFD_R101.yaml") == expected


def test_a_file_of_this_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("DF2S2").mkdir()
    base = config_path("DF2S2/Base-DF2S2.yaml")
    Path("DF2S2/DF2S2_R50.yaml").write_text(f"_BASE_: {base}\nSOLVER: {{MAX_ITER: 7}}\n")
    cfg = load_config("DF2S2/DF2S2_R50.yaml")
    assert cfg.SOLVER.MAX_ITER == 7
    assert cfg.MODEL.NECK.NAME == load_config(base).MODEL.NECK.NAME


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("DF2S2/DF2S2_R5O.yaml", "is it DF2S2/DF2S2_R50.yaml"),
        ("DF2S2_R101.yaml", "is it DF2S2/DF2S2_R101.yaml?"),
        ("demo_R18.yaml", "is it DF2S2/small/demo_R18.yaml or DSFD/small/demo_R18.yaml?"),
        ("my/own.yaml", "`df2s2 configs` lists them"),
    ],
)
def test_an_unknown_name_is_told_what_it_is_like(name, hint):
    with pytest.raises(ValueError, match=f"The config file {name} does not exist") as caught:
        load_config(name)
    assert hint in str(caught.value)


def test_a_missing_base_is_named(tmp_path):
    (tmp_path / "own.yaml").write_text("_BASE_: absent.yaml\n")
    with pytest.raises(ValueError, match=r"absent\.yaml does not exist"):
        load_config(str(tmp_path / "own.yaml"))


def test_the_package_completes_its_names():
    assert {"Predictor", "add_df2s2_config", "list_configs", "load_config"} <= set(dir(df2s2_d2))
    for name in df2s2_d2.__all__:
        assert callable(getattr(df2s2_d2, name))
