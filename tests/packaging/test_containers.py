"""Dockerfile, compose.yaml and .dockerignore agree with each other and with the Makefile."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from df2s2_d2.cli.commands import load_command
from df2s2_d2.cli.program import build_parser, parse_arguments
from df2s2_d2.serving.server import SECONDS_TO_END
from df2s2_d2.serving.server_options import ServerOptions

ROOT = Path(__file__).resolve().parents[2]


class Stage(NamedTuple):
    """A part of a Dockerfile, from one FROM to the next."""

    base: str
    steps: list[tuple[str, str]]  # such as ("RUN", "make venv")

    def all_of(self, kind: str) -> list[str]:
        return [text for name, text in self.steps if name == kind]


@pytest.fixture(scope="module")
def stages() -> dict[str, Stage]:
    """Name -> stage."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    steps = re.findall(r"^([A-Z]+) (.+)$", "\n".join(lines).replace("\\\n", " "), re.MULTILINE)
    found: dict[str, Stage] = {}
    for kind, text in steps:
        if kind == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", text).groups()
            found[name] = Stage(base, [])
        elif found:
            list(found.values())[-1].steps.append((kind, text))
        else:
            assert (kind, text) == ("ARG", "BASE=debian:13.8-slim")
    return found


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]


def lineage(stages: dict[str, Stage], name: str) -> list[Stage]:
    """A stage and those that it is built upon, its own first."""
    stage = stages[name]
    return [stage, *(lineage(stages, stage.base) if stage.base in stages else [])]


def section(name: str) -> str:
    """A section of pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return text.partition(f"[{name}]\n")[2].partition("\n[")[0]


def make_arguments(stage: Stage) -> list[str]:
    """Of the call of make in a stage."""
    (call,) = (text for text in stage.all_of("RUN") if " make " in f" {text}")
    words = shlex.split(call.replace('"${TORCH_INDEX}"', "https://index"))
    return words[words.index("make") + 1 :]


def test_images_are_what_make_venv_installs(stages):
    extras = re.findall(r"^(\w+) = \[", section("project.optional-dependencies"), re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for device in ("cpu", "cuda"):
        arguments = make_arguments(stages[f"install-{device}"])
        assert arguments[0] == "venv"
        variables = dict(argument.split("=", 1) for argument in arguments[1:])
        for name in variables:
            assert re.search(rf"^{name} [?:]?=", makefile, re.MULTILINE), name
        asked = re.fullmatch(r"\.\[(.+)\]", variables["PACKAGE"])[1].split(",")
        assert {"train", "export", "serve", "video"} <= set(asked) <= set(extras)
        assert "dev" not in asked
        # The environment that is made is the one that is taken over, and on the PATH.
        (copied,) = stages[device].all_of("COPY")
        assert copied.split() == [f"--from=install-{device}", *[variables["VENV"]] * 2]
        assert f"PATH={variables['VENV']}/bin:" in stages["program"].all_of("ENV")[0]
    assert "TORCH_INDEX" in dict(a.split("=", 1) for a in make_arguments(stages["install-cpu"])[1:])


@pytest.mark.parametrize("index", ["", "https://index"])
def test_make_installs_as_the_images_ask(index):
    done = subprocess.run(
        [
            "make",
            "--dry-run",
            "venv",
            "VENV=absent/venv",
            "PACKAGE=.[train]",
            f"TORCH_INDEX={index}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    installed = [line for line in done.stdout.splitlines() if " install " in line]
    torch, package = (next(x for x in installed if name in x) for name in ("torch==", ".[train]"))
    assert (f"--index-url {index}" in torch) == bool(index) and "--index-url" not in package
    assert package.startswith("absent/venv/bin/python -m pip") and "--editable" not in package


def test_images_run_as_a_user_that_owns_nothing(stages):
    for device in ("cpu", "cuda"):
        users = [user for stage in lineage(stages, device) for user in stage.all_of("USER")]
        assert users == ["df2s2"]
        steps = [step for stage in lineage(stages, device) for step in stage.all_of("RUN")]
        assert any("useradd --uid 10001 --create-home df2s2" in step for step in steps)
        # Compilers and sources stay behind.
        assert not any("g++" in step or "make" in step for step in steps)


def test_the_context_is_what_make_venv_needs_and_nothing_else():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    sent = {pattern[1:] for pattern in patterns if pattern.startswith("!")}
    assert all((ROOT / path).exists() for path in sent)
    named = re.findall(r'^(?:readme|license-files) = \[?"(.+?)"', section("project"), re.MULTILINE)
    needed = {"Makefile", "pyproject.toml", "setup.py", "df2s2_d2", "configs", *named}
    assert sent == needed | {"tools/install_detectron2.py"}
    # What the recipe starts by its own path.
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("$(STAMP): |")[2]
    scripts = re.findall(r"bin/python|\$\(BIN\)/python (\S+\.py)", recipe.partition("\n\n")[0])
    assert {script for script in scripts if script} <= sent


def test_the_service_may_do_no_more_than_it_has_to(stages, services):
    serve = services["serve"]
    assert serve["build"]["target"] in stages
    assert serve["read_only"] and serve["cap_drop"] == ["ALL"] and serve["init"]
    assert "no-new-privileges:true" in serve["security_opt"]
    (port,) = serve["ports"]
    host, outside, inside = port.split(":")
    assert host == "127.0.0.1" and outside == inside
    assert inside in stages["program"].all_of("EXPOSE")
    assert f"127.0.0.1:{inside}/health" in serve["healthcheck"]["test"][-1]
    assert not any(key in serve for key in ("volumes", "privileged"))
    assert int(serve["stop_grace_period"].removesuffix("s")) > SECONDS_TO_END
    cuda = services["serve-cuda"]
    assert cuda["extends"] == "serve" and cuda["build"]["target"] in stages


def test_the_image_starts_what_compose_starts(stages, services):
    program = stages["program"]
    (default,) = program.all_of("CMD")
    words = yaml.safe_load(default)
    assert services["serve"]["command"][: len(words)] == words
    assert program.all_of("ENTRYPOINT") == ['["df2s2"]']


def test_the_service_has_room_for_what_it_takes(services):
    serve = services["serve"]
    name, *words = serve["command"]
    args = parse_arguments(build_parser(load_command(name), name), words)
    options = ServerOptions.from_args(args)
    assert (options.host, options.port) == ("0.0.0.0", 8000)
    limits = options.limits
    images = limits.images_at_once * limits.image_bytes
    # A video lies there as it was received, and as a file by itself.
    sent = images + 2 * limits.videos_at_once * limits.video_bytes
    (temporary,) = serve["tmpfs"]
    assert sent < _num_bytes(temporary.removeprefix("/tmp:size="))
    # What lies there is in memory, and counts; a detector and its batch take less than two GB.
    assert sent + images < _num_bytes(serve["mem_limit"]) - 2 * _num_bytes("1g")


def _num_bytes(text: str) -> int:
    assert text.endswith("g")
    return int(text[:-1]) << 30
