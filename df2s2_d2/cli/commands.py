"""The commands of the program, by what is typed."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping
from typing import Protocol

# What is typed -> the module of this folder that does it, in the order of the help.
COMMANDS: Mapping[str, str] = {
    "train": "train",
    "train-lazy": "train_lazy",
    "detect": "detect",
    "serve": "serve",
    "join": "join",
    "evaluate wider-face": "evaluate_wider_face",
    "evaluate fddb": "evaluate_fddb",
    "table": "table",
    "report": "report",
    "plot": "plot",
    "export": "export",
    "detect-onnx": "detect_onnx",
    "submission": "submission",
    "check": "check",
    "browse": "browse",
    "convert": "convert",
    "anchors": "anchors",
    "configs": "configs",
    "models": "models",
    "models download": "models_download",
    "models publish": "models_publish",
    "install-detectron2": "install_detectron2",
}


class Command(Protocol):
    """A module that is a command."""

    __doc__: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add its options to a parser."""

    def run(self, args: argparse.Namespace) -> int | None:
        """Do what the options say.

        Returns:
            The exit code; None for 0.

        Raises:
            argparse.ArgumentError: for options that contradict each other.
            ImportError, OSError, ValueError: for what its user can mend.
        """


def load_command(name: str) -> Command:
    """The module of a command.

    Args:
        name: what is typed, a key of ``COMMANDS``.
    """
    return importlib.import_module(f"df2s2_d2.cli.{COMMANDS[name]}")


def summary(name: str) -> str:
    """What a command does, in one sentence."""
    return load_command(name).__doc__.partition("\n")[0]
