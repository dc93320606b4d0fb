from __future__ import annotations

import re
from pathlib import Path

import pytest
from detectron2.config import CfgNode, get_cfg

from df2s2_d2 import add_df2s2_config, load_config
from df2s2_d2.config import parse_config

PACKAGE = Path(__file__).resolve().parents[1] / "df2s2_d2"


def flatten(node: CfgNode, prefix: str = "") -> dict[str, object]:
    """Dotted key -> value of all leaves."""
    leaves = {}
    for key, value in node.items():
        if isinstance(value, CfgNode):
            leaves |= flatten(value, f"{prefix}{key}.")
        else:
            leaves[prefix + key] = value
    return leaves


@pytest.fixture
def write_config(tmp_path):
    """Function that writes a config file and returns its path."""

    def write(text: str | bytes, name: str = "written.yaml") -> str:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


def error_of(config_file: str, overrides: tuple[str, ...] = ()) -> str:
    with pytest.raises(ValueError) as caught:
        load_config(config_file, overrides)
    message = str(caught.value)
    assert "\n" not in message, "one sentence, on one line"
    return message


def test_file_goes_over_defaults_and_overrides_over_file(write_config):
    write_config("VERSION: 2\nSOLVER: {MAX_ITER: 7, BASE_LR: 0.5}\n", "base.yaml")
    path = write_config("_BASE_: base.yaml\nVERSION: 2\nSOLVER: {MAX_ITER: 8, STEPS: [3]}\n")
    cfg = load_config(path, ["SOLVER.STEPS", "(4, 5)", "MODEL.SHOT.WEAK_MASK.LOSS_WEIGHT", "0.5"])
    assert (cfg.SOLVER.MAX_ITER, cfg.SOLVER.BASE_LR, cfg.SOLVER.STEPS) == (8, 0.5, (4, 5))
    assert cfg.MODEL.SHOT.WEAK_MASK.LOSS_WEIGHT == 0.5
    assert cfg.MODEL.FIRST_SHOT.WEAK_MASK.LOSS_WEIGHT == 0.05


def test_without_arguments_gives_the_defaults():
    expected = get_cfg()
    add_df2s2_config(expected)
    assert flatten(load_config()) == flatten(expected)


def test_unknown_key_is_named_with_its_file(write_config):
    path = write_config("VERSION: 2\nMODEL: {SHOT: {HEAD: {NUM_CONV: 3}}}\n")
    message = error_of(path)
    assert path in message and "MODEL.SHOT.HEAD.NUM_CONV" in message


def test_wrong_type_is_named_with_its_file_and_key(write_config):
    path = write_config("VERSION: 2\nMODEL: {SHOT: {LOSS: {FOCAL_ALPHA: much}}}\n")
    message = error_of(path)
    assert path in message and "MODEL.SHOT.LOSS.FOCAL_ALPHA" in message


@pytest.mark.parametrize("text", ["SOLVER:\n  BASE_LR:\n", "SOLVER: {BASE_LR: null}"])
def test_key_without_a_value_is_named(write_config, text):
    wanted = "SOLVER.BASE_LR has no value: give it one, or leave the key out"
    assert wanted in error_of(write_config(text))
    assert wanted in error_of("", ("SOLVER.BASE_LR", "None"))
    with pytest.raises(ValueError, match=f"^here: {wanted}"):
        parse_config(text, "here")
    # Detectron2's own default.
    assert load_config("", ("SOLVER.WEIGHT_DECAY_BIAS", "None")).SOLVER.WEIGHT_DECAY_BIAS is None


def test_value_in_place_of_a_section_is_named(write_config):
    path = write_config("VERSION: 2\nMODEL: 3\n")
    assert path in error_of(path)


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (("MODEL.NO_SUCH", "1"), "MODEL.NO_SUCH"),
        (("SOLVER.MAX_ITER", "many"), "SOLVER.MAX_ITER"),
        (("SOLVER.MAX_ITER",), "SOLVER.MAX_ITER"),
    ],
)
def test_wrong_override_is_named(overrides, named):
    assert named in error_of("", overrides)


def test_missing_files_are_named(write_config, tmp_path):
    absent = str(tmp_path / "absent.yaml")
    assert absent in error_of(absent)
    assert str(tmp_path / "no_base.yaml") in error_of(write_config("_BASE_: no_base.yaml\n"))


@pytest.mark.parametrize(
    "text",
    ["MODEL:\n  A: [1, 2\n  B: }\n", "- 1\n- 2\n", "just words\n", "", "\t{", b"\xff\xfe\x00"],
    ids=["syntax", "list", "words", "empty", "tab", "binary"],
)
def test_file_that_is_no_config_is_named(write_config, text):
    path = write_config(text)
    assert path in error_of(path)


def test_base_of_itself_is_refused(write_config):
    path = write_config("_BASE_: written.yaml\nVERSION: 2\n")
    assert "written.yaml" in error_of(path)


@pytest.mark.parametrize("through_base", [False, True])
@pytest.mark.parametrize(
    "tag", ["object/apply:os.system", "object/new:os.system", "name:os.system"]
)
def test_yaml_that_would_run_code_is_refused_and_not_run(write_config, tmp_path, tag, through_base):
    trace = tmp_path / "trace"
    path = write_config(f'VERSION: 2\nOUTPUT_DIR: !!python/{tag} ["touch {trace}"]\n', "bad.yaml")
    loaded = write_config("_BASE_: bad.yaml\nVERSION: 2\n") if through_base else path
    message = error_of(loaded)
    assert path in message and "python/" in message
    assert not trace.exists()


def test_overrides_are_read_as_literals_only(tmp_path):
    trace = tmp_path / "trace"
    code = f"__import__('pathlib').Path({str(trace)!r}).touch()"
    assert load_config("", ["OUTPUT_DIR", code]).OUTPUT_DIR == code
    assert not trace.exists()


def test_keys_of_detectron2_keep_their_values():
    before = flatten(get_cfg())
    cfg = get_cfg()
    add_df2s2_config(cfg)
    after = flatten(cfg)
    assert {key: after[key] for key in before} == before
    assert len(after) > len(before)


def test_every_key_of_the_project_is_read_in_the_package():
    added = flatten(load_config()).keys() - flatten(get_cfg()).keys()
    assert "MODEL.SHOT.WEAK_MASK.ASSIGNMENT" in added
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "config.py"
    )
    unread = [key for key in added if not re.search(rf"\.{key.rpartition('.')[2]}\b", code)]
    assert unread == []


def test_messages_do_not_show_the_whole_config():
    with pytest.raises(ValueError, match="Type mismatch") as caught:
        load_config("", ["MODEL", "text"])
    assert len(str(caught.value)) < 500 and str(caught.value).endswith("for config key: MODEL")
