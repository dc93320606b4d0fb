"""Options of ``df2s2 train``; its runs are tested through train_net.py, which is the same."""

from __future__ import annotations

import pytest
from detectron2.engine import default_argument_parser

from df2s2_d2.cli import train
from df2s2_d2.cli.program import build_parser, main
from df2s2_d2.training import launching
from df2s2_d2.training import run as training_run


def options(parser) -> dict[str, tuple]:
    """Name -> how it is written, read and left out, of what parsers of detectron2 have."""
    return {
        action.dest: (action.option_strings, action.nargs, action.type, action.const)
        for action in parser._actions
    }


def test_options_are_those_of_detectron2_and_the_patience_of_processes():
    """They are written down anew, since detectron2 takes seconds to load."""
    ours, theirs = build_parser(train, "df2s2 train"), default_argument_parser()
    assert options(ours) == {**options(theirs), "timeout": (["--timeout"], None, float, None)}
    for name in options(theirs).keys() - {"dist_url", "opts", "help"}:
        assert ours.get_default(name) == theirs.get_default(name)
    assert train.AUTOMATIC_URL == launching.AUTOMATIC_URL


def test_overrides_are_the_rest_of_the_line():
    words = ["--eval-only", "MODEL.WEIGHTS", "w.pth", "SOLVER.STEPS", "()"]
    args = build_parser(train, "df2s2 train").parse_args(words)
    assert args.eval_only and args.opts == words[1:]
    assert args.program == "df2s2 train"


def test_mistakes_are_one_sentence_by_the_name_of_the_program():
    with pytest.raises(SystemExit) as stop:
        main(["train", "--config-file", "DF2S2/DF2S2_R5O.yaml"])
    assert stop.value.code.startswith("df2s2 train: The config file DF2S2/DF2S2_R5O.yaml does not")
    assert "DF2S2/DF2S2_R50.yaml" in stop.value.code


def test_shipped_configs_are_trained_by_name(tmp_path, monkeypatch):
    """Up to the trainer, which stands for itself."""
    started = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training_run, "check_inputs", lambda *_, **__: None)
    monkeypatch.setattr(training_run, "default_setup", lambda cfg, args: started.append(args))
    monkeypatch.setattr(training_run, "evaluate", lambda cfg, resume: started.append(cfg))
    name = "DF2S2/small/demo_R18.yaml"
    words = ["--eval-only", "OUTPUT_DIR", str(tmp_path), "MODEL.DEVICE", "cpu"]
    assert main(["train", "--config-file", name, *words]) == 0
    args, cfg = started
    assert args.config_file.endswith(name) and args.config_file != name, "detectron2 reads it"
    assert cfg.MODEL.RESNETS.DEPTH == 18


def test_bugs_keep_their_traceback(monkeypatch, capsys):
    def fail(_args):
        raise ValueError("a bug")

    monkeypatch.setattr(training_run, "run", fail)
    with pytest.raises(SystemExit) as stop:
        main(["train"])
    assert stop.value.code == 1
    assert "Traceback" in capsys.readouterr().err
