"""``df2s2 COMMAND ...``: finds the command, runs it, and ends it so that its user is told why."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import metadata
from typing import NoReturn

import df2s2_d2
from df2s2_d2.cli.commands import COMMANDS, Command, load_command, summary
from df2s2_d2.missing_packages import with_remedy

PROGRAM = "df2s2"

# Exit codes: of a failure that a sentence tells, and of a command line that is not understood.
FAILURE, MISUSE = 1, 2
# Those of SIGINT and SIGPIPE, as shells count what ended by a signal.
_INTERRUPTED, _PIPE_CLOSED = 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    Args:
        arguments: what is typed after its name; None for those of this process.

    Returns:
        The exit code.

    Raises:
        SystemExit: after --help and --version, and for options that are not understood.
    """
    _open_closed_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    # The longest first: of two words, such as "evaluate fddb", the first may be a command too.
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in COMMANDS:
            program = f"{PROGRAM} {name}"
            return run(load_command(name), program, words[length:], f"{program}: error")
    groups = {name.partition(" ")[0] for name in COMMANDS if " " in name}
    group = words.pop(0) if words and words[0] in groups else ""
    if words and not words[0].startswith("-"):
        print(f"{PROGRAM}: error: {_no_command(f'{group} {words[0]}'.strip())}", file=sys.stderr)
        return MISUSE
    overview = _overview(group)
    overview.parse_args(words)
    overview.print_help(sys.stderr)
    return MISUSE


def run(command: Command, program: str, arguments: Sequence[str] | None, before_errors: str) -> int:
    """Run a command.

    Args:
        command: its module.
        program: what is typed to start it, for its help.
        arguments: of the command; None for those of this process.
        before_errors: stands before the sentence that a failure ends with.

    Returns:
        The exit code.

    Raises:
        SystemExit: after --help, and for options that are not understood.
    """
    _open_closed_streams()
    parser = build_parser(command, program)
    args = parse_arguments(parser, arguments)
    # fvcore uses a part of torch that is deprecated: nothing that a user could act on.
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
    try:
        code = command.run(args)
        sys.stdout.flush()
        return code or 0
    except argparse.ArgumentError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever reads has seen enough, as with "| head". Python writes what is left at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except (ImportError, OSError, ValueError) as error:
        if isinstance(error, ModuleNotFoundError):
            error = with_remedy(error)
        print(f"{before_errors}: {' '.join(str(error).split())}", file=sys.stderr)
        return FAILURE


def _open_closed_streams() -> None:
    """Let what is printed go nowhere if standard output or error is closed, as by ``>&-``.

    Else the first file that is opened would take their place, and printing fail.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (until the process ends)


def run_script(command: Command, script: str) -> None:
    """Run a command as a script of its own does, with the arguments of this process.

    Args:
        command: its module.
        script: name of the script, which stands before its messages.

    Raises:
        SystemExit: with the exit code, if that is not 0.
    """
    if code := run(command, script, None, script):
        sys.exit(code)


def build_parser(command: Command, program: str) -> _Parser:
    """The parser of a command's options; ``program`` is what is typed to start it."""
    parser = _Parser(
        program,
        description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    return parser


class _Parser(argparse.ArgumentParser):
    """Tells, where a word is amiss, of options that took it from the command.

    Attributes:
        words: that are parsed.
    """

    words: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        for action in self._actions:
            used = [option for option in action.option_strings if option in self.words]
            is_amiss = any(f"argument {option}" in message for option in action.option_strings)
            if used and action.nargs in ("?", "*", "+") and (is_amiss or "required" in message):
                message += (
                    f" ({used[0]} takes the words behind it: put what it is not for before it)"
                )
        super().error(message)


def parse_arguments(parser: _Parser, arguments: Sequence[str] | None) -> argparse.Namespace:
    parser.words = sys.argv[1:] if arguments is None else arguments
    try:
        # Files may stand before and after options.
        return parser.parse_intermixed_args(arguments)
    except TypeError:  # for an argument that takes the rest of the line, as that of train
        return parser.parse_args(arguments)


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_) -> None:
        print(f"{PROGRAM} {df2s2_d2.__version__}", end="")
        for package in ("detectron2", "torch"):
            print(f", {package} {_installed_version(package)}", end="")
        print()
        parser.exit()


def _installed_version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "is not installed"


def _overview(group: str) -> argparse.ArgumentParser:
    """Help on all commands, or on those whose first word is ``group``."""
    program = f"{PROGRAM} {group}".strip()
    start = f"{group} " if group else ""
    listed = {name.removeprefix(start): name for name in COMMANDS if name.startswith(start)}
    width = max(map(len, listed)) + 2
    parser = argparse.ArgumentParser(
        program,
        usage=f"{program} COMMAND ...",
        description=df2s2_d2.__doc__.partition("\n")[0],
        epilog="\n".join(
            ["commands:", *(f"  {word:<{width}}{summary(name)}" for word, name in listed.items())]
            + ["", f"`{program} COMMAND --help` tells the options of a command."]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if not group:
        parser.add_argument(
            "--version", action=_Version, nargs=0, help="print the version and exit"
        )
    return parser


def _no_command(name: str) -> str:
    alike = difflib.get_close_matches(name, COMMANDS, n=3)
    alike += [known for known in COMMANDS if known.endswith(f" {name}") and known not in alike]
    hint = f"is it {' or '.join(alike)}?" if alike else f"`{PROGRAM} --help` lists them"
    return f"there is no command '{name}': {hint}"
