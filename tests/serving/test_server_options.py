from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from df2s2_d2.cli import serve
from df2s2_d2.cli.program import build_parser, main
from df2s2_d2.missing_packages import with_remedy
from df2s2_d2.serving.limits import Limits
from df2s2_d2.serving.server_options import ServerOptions


def options(*words: str) -> ServerOptions:
    parser = argparse.ArgumentParser()
    ServerOptions.add_arguments(parser)
    return ServerOptions.from_args(parser.parse_args(words))


def test_nobody_else_is_answered_unless_asked_for():
    assert options() == ServerOptions("127.0.0.1", 8000, Limits(), logs_requests=False)


def test_limits_are_as_they_are_given():
    words = ["--max-image-mb", "1.5", "--max-megapixels", "2", "--max-video-mb", "3"]
    words += ["--max-video-seconds", "4", "--requests-per-minute", "0", "--max-requests", "6"]
    given = options(*words, "--max-videos", "7", "--host", "0.0.0.0", "--port", "0")
    assert given.limits == Limits(1_500_000, 2_000_000, 3_000_000, 4.0, 0, 6, 7)
    assert (given.host, given.port) == ("0.0.0.0", 0)


@pytest.mark.parametrize(
    "words",
    [("--port", "65536"), ("--port", "-1"), ("--max-requests", "0"), ("--max-image-mb", "-1")]
    + [
        ("--requests-per-minute", "-1"),
        ("--requests-per-minute", "x"),
        ("--max-megapixels", "nan"),
    ],
)
def test_impossible_options_are_refused(words, capsys):
    with pytest.raises(SystemExit):
        options(*words)
    assert "expected a " in capsys.readouterr().err


def test_help_needs_none_of_the_packages_that_the_service_does():
    code = (
        "import sys; from df2s2_d2.cli import serve, program; program.build_parser(serve, 'x');"
        "print([name for name in ('fastapi', 'uvicorn', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert "--max-image-mb" in build_parser(serve, "df2s2 serve").format_help()


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "prometheus_client"])
def test_missing_packages_are_told_with_the_extra(package):
    error = ModuleNotFoundError(f"No module named '{package}'", name=package)
    assert "pip install 'df2s2_d2[serve]'" in str(with_remedy(error))


def test_a_wrong_model_is_one_sentence(capsys):
    assert main(["serve", "--port", "0", "--weights", "no-such-model"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("df2s2 serve: error: ") and said.count("\n") == 1
