from __future__ import annotations

import builtins
from pathlib import Path

import pytest

from df2s2_d2 import load_config
from df2s2_d2.lazy_config import list_lazy_configs, load_lazy_config

ROOT = Path(__file__).resolve().parents[1]


def test_names_are_loaded_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = list_lazy_configs()
    assert len(names) > 3
    for name in names:
        for known_as in (name, f"configs/{name}", str(ROOT / "configs" / name)):
            config = load_lazy_config(known_as)
            assert {"model", "optimizer", "lr_multiplier", "dataloader", "train"} <= set(config)


def test_loading_one_leaves_the_others_alone():
    first = load_lazy_config("lazy/DF2S2_R50.py", ["train.max_iter=3", "+train.more=1"])
    assert (first.train.max_iter, first.train.more) == (3, 1)
    assert first.lr_multiplier.max_iter == 3
    assert load_lazy_config("lazy/DF2S2_R50.py").train.max_iter == 48300


def test_a_file_of_ones_own_starts_from_a_shipped_one(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(
        "from df2s2_d2.lazy_config import load_lazy_config\n"
        'base = load_lazy_config("lazy/DF2S2_R50.py")\n'
        "model, optimizer, lr_multiplier = base.model, base.optimizer, base.lr_multiplier\n"
        "dataloader, train, test_detector = base.dataloader, base.train, base.test_detector\n"
        "del base\n"
        "train.max_iter = 5\n"
    )
    config = load_lazy_config(str(path))
    assert config.lr_multiplier.max_iter == 5
    assert config.dataloader.evaluator.dataset_name == "wider_face_val"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("model = (", ", line 1: SyntaxError|SyntaxError"),
        ("model = 1\nimport no_such_module", "line 2: ModuleNotFoundError: .*no_such_module"),
        ("x = {}\nmodel = x['y']", "line 2: KeyError"),
        ("from .absent import model", "ImportError: .*absent"),
        ("model = {}\ntrain = {}", "no section optimizer and no lr_multiplier and no dataloader"),
    ],
)
def test_what_its_code_stumbles_over_is_one_sentence(tmp_path, source, words):
    path = tmp_path / "own.py"
    path.write_text(source)
    importer = builtins.__import__
    with pytest.raises(ValueError, match=words) as caught:
        load_lazy_config(str(path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert builtins.__import__ is importer


def test_other_files_are_told():
    with pytest.raises(FileNotFoundError, match=r"shipped ones are .*is it lazy/DF2S2_R50\.py\?"):
        load_lazy_config("DF2S2_R50.py")
    with pytest.raises(ValueError, match=r"is no LazyConfig, a file \*\.py: `df2s2 train` takes"):
        load_lazy_config("DF2S2/DF2S2_R50.yaml")


def test_yaml_is_all_that_a_config_is_read_as(tmp_path):
    """No file of code is run by what reads configs, however it is named."""
    path = tmp_path / "own.py"
    path.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    for name in (str(path), "lazy/DF2S2_R50.py"):
        with pytest.raises(ValueError, match="is Python: give it to `df2s2 train-lazy`"):
            load_config(name)
    assert not (tmp_path / "ran").exists()
