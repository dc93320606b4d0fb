#!/usr/bin/env python3
"""Change one operator or constant at a time, and see whether the tests notice.

  python tools/mutation_test.py                        # 60 changes, spread over the central modules
  python tools/mutation_test.py --changes 20 --only matching,scoring
  python tools/mutation_test.py --seed 1 --changes 200

No file is changed: a child process of its own imports each module with the change. Printed are the
changes that no test notices, and the score: the share that is noticed.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import os
import random
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).resolve().parents[1]

# Module -> the tests that are about it. Tests that start processes would not see the change.
_TARGETS = "tests/modeling/targets"
_EVALUATION = "tests/evaluation"
MODULES = {
    "modeling.targets.anchor_matching": (f"{_TARGETS}/test_anchor_matching.py",),
    "modeling.targets.windows": (f"{_TARGETS}/test_anchor_matching.py",),
    "modeling.targets.weak_masks": (f"{_TARGETS}/test_weak_masks.py",),
    "modeling.targets.ignored_regions": (f"{_TARGETS}/test_ignored_regions.py",),
    "modeling.losses.classification": ("tests/modeling/losses/test_classification.py",),
    "modeling.losses.boxes": ("tests/modeling/losses/test_boxes.py",),
    "modeling.losses.masks": ("tests/modeling/losses", "tests/modeling/test_shot.py"),
    "modeling.postprocessing": ("tests/modeling/test_postprocessing.py",),
    "modeling.multi_scale.box_voting": ("tests/modeling/multi_scale/test_box_voting.py",),
    "evaluation.wider_face.scoring": (f"{_EVALUATION}/wider_face/test_scoring.py",),
    "evaluation.box_pairs": (f"{_EVALUATION}/wider_face/test_scoring.py",),
    "evaluation.fddb.one_to_one_matching": (f"{_EVALUATION}/fddb",),
    "evaluation.fddb.overlap": (f"{_EVALUATION}/fddb",),
    "evaluation.fddb.scoring": (f"{_EVALUATION}/fddb",),
    "training.resume": ("tests/training/test_resume.py",),
    "training.metrics_file": ("tests/training/test_metrics_file.py",),
}
_SECOND_OPINION = {
    "modeling.targets": "tests/second_opinion/test_equivariance.py",
    "modeling.multi_scale": "tests/second_opinion/test_equivariance.py",
    "evaluation": "tests/second_opinion/test_evaluators.py",
}

# Imported once, for all child processes.
_LIBRARIES = ("torch", "torchvision", "detectron2.modeling", "detectron2.data", "detectron2.engine")
_LIBRARIES += ("scipy.optimize", "cv2", "matplotlib.figure", "pytest", "hypothesis.strategies")

# Of processor time, so that other work on the machine is not taken for a fault; a change that makes
# a test wait for what never comes is ended by the clock.
_MOST_SECONDS, _MOST_SECONDS_BY_THE_CLOCK = 180, 3600
# Slow, or of what a change of the program cannot alter.
_LEFT_OUT = "not million and not real and not benchmarks and not gpu"

_SWAPPED = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
_SWAPPED_NAMES = {"minimum": "maximum", "maximum": "minimum", "min": "max", "max": "min"}
_SWAPPED_NAMES |= {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Change:
    """One change of a module.

    Attributes:
        module: full name.
        index: which of the changes that the module offers.
        line: where.
        before, after: the expression.
    """

    module: str
    index: int
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.before}  ->  {self.after}"


class _Changer(ast.NodeTransformer):
    """Counts the places to change, and changes the one of a number."""

    def __init__(self, index: int | None = None):
        self._index = index
        self.places: list[tuple[int, str, str]] = []

    def _offer(self, node: ast.expr, changed: ast.expr) -> ast.expr:
        number = len(self.places)
        self.places.append((node.lineno, ast.unparse(node), ast.unparse(changed)))
        return ast.copy_location(changed, node) if number == self._index else node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        if type(node.ops[0]) not in _SWAPPED:
            return node
        changed = copy.deepcopy(node)
        changed.ops[0] = _SWAPPED[type(node.ops[0])]()
        return self._offer(node, changed)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        is_text = any(
            isinstance(side, ast.JoinedStr) or isinstance(getattr(side, "value", None), str)
            for side in (node.left, node.right)
        )
        if type(node.op) not in _SWAPPED or is_text:
            return node
        changed = copy.deepcopy(node)
        changed.op = _SWAPPED[type(node.op)]()
        return self._offer(node, changed)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        changed = copy.deepcopy(node)
        changed.op = _SWAPPED[type(node.op)]()
        return self._offer(node, changed)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.op, (ast.Not, ast.Invert, ast.USub)):
            return self._offer(node, copy.deepcopy(node.operand))
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, bool):
            return self._offer(node, ast.Constant(not node.value))
        if isinstance(node.value, (int, float)):
            return self._offer(node, ast.Constant(node.value + 1))
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        if node.attr not in _SWAPPED_NAMES:
            return node
        changed = copy.deepcopy(node)
        changed.attr = _SWAPPED_NAMES[node.attr]
        return self._offer(node, changed)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Only what runs: neither annotations nor defaults that documentation repeats."""
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AnnAssign:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.keyword:
        """What ``zip(..., strict=True)`` refuses does not happen."""
        return node if node.arg == "strict" else self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        """Messages are not what this is about."""
        return node


def changes_of(module: str, source: str) -> list[Change]:
    """All changes that the source of a module offers."""
    changer = _Changer()
    changer.visit(ast.parse(source))
    return [Change(module, index, *place) for index, place in enumerate(changer.places)]


def changed_code(source: str, index: int, path: str) -> CodeType:
    """The compiled source of a module with the change of this number."""
    tree = _Changer(index).visit(ast.parse(source))
    return compile(ast.fix_missing_locations(tree), path, "exec")


class _ChangedModule(importlib.abc.MetaPathFinder):
    """Imports a module with a change."""

    def __init__(self, change: Change, path: Path):
        self._change, self._path = change, path

    def find_spec(self, name, path=None, target=None):
        if name != self._change.module:
            return None
        loader = _ChangedLoader(name, str(self._path))
        loader.index = self._change.index
        return importlib.util.spec_from_file_location(name, self._path, loader=loader)


class _ChangedLoader(importlib.machinery.SourceFileLoader):
    index: int

    def get_code(self, fullname):
        source = Path(self.path).read_text(encoding="utf-8")
        return changed_code(source, self.index, self.path)


def path_of(module: str) -> Path:
    return ROOT / f"{module.replace('.', '/')}.py"


def tests_of(module: str) -> list[str]:
    """The tests that are about a module of ``MODULES``."""
    name = module.removeprefix("df2s2_d2.")
    more = [test for start, test in _SECOND_OPINION.items() if name.startswith(start)]
    return [*MODULES[name], *more]


def is_noticed(change: Change | None, tests: Sequence[str]) -> bool:
    """Run tests in a child process, with a change or without any.

    Returns:
        Whether a test fails, or they take far too long.
    """
    child = os.fork()
    if child == 0:
        signal.setitimer(signal.ITIMER_PROF, _MOST_SECONDS)
        signal.alarm(_MOST_SECONDS_BY_THE_CLOCK)
        if change is not None:
            sys.meta_path.insert(0, _ChangedModule(change, path_of(change.module)))
        import pytest

        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-k", _LEFT_OUT, *tests])
        os._exit(0 if code == pytest.ExitCode.OK else 1)
    return os.waitpid(child, 0)[1] != 0


def chosen_changes(only: Sequence[str], count: int, seed: int) -> Iterator[Change]:
    """As many changes of every module as of any other, as far as it offers them."""
    names = [f"df2s2_d2.{name}" for name in MODULES if not only or any(o in name for o in only)]
    generator = random.Random(seed)
    offered = {}
    for name in names:
        changes = changes_of(name, path_of(name).read_text(encoding="utf-8"))
        offered[name] = generator.sample(changes, len(changes))
    for turn in range(count):
        name = names[turn % len(names)]
        if offered[name]:
            yield offered[name].pop()


def main() -> int:
    """Run the command line; the exit code is 1 if the tests fail without any change."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--changes", type=int, default=60, metavar="N", help="default: 60")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of their choice")
    parser.add_argument("--only", default="", metavar="A,B", help="modules whose names hold these")
    args = parser.parse_args()
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT)]
    for library in _LIBRARIES:
        importlib.import_module(library)

    only = [word for word in args.only.split(",") if word]
    changes = sorted(chosen_changes(only, args.changes, args.seed), key=str)
    sound: dict[str, bool] = {}
    survivors = []
    for number, change in enumerate(changes, start=1):
        tests = tests_of(change.module)
        if change.module not in sound:
            sound[change.module] = not is_noticed(None, tests)
            if not sound[change.module]:
                print(f"{change.module}: its tests fail without any change", file=sys.stderr)
                return 1
        noticed = is_noticed(change, tests)
        survivors += [] if noticed else [change]
        print(
            f"{number:4}/{len(changes)} {'noticed ' if noticed else 'SURVIVES'} {change}",
            flush=True,
        )
    num_noticed = len(changes) - len(survivors)
    print(
        f"\n{num_noticed} of {len(changes)} changes are noticed: {num_noticed / len(changes):.0%}"
    )
    for change in survivors:
        print(f"survives: {change}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
