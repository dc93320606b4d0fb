from __future__ import annotations

import mutation_test
import pytest

SOURCE = """
LIMIT: float = 0.5

def is_high(score: float, limit: float = 1 - LIMIT) -> bool:
    if score != score:
        raise ValueError(f"{score + 1} is no score")
    return not score < limit and True

def pairs(a, b):
    return list(zip(a, b, strict=True))
"""


def test_every_operator_and_constant_that_runs_is_changed_once():
    changes = mutation_test.changes_of("module", SOURCE)
    assert [(change.line, change.before, change.after) for change in changes] == [
        (2, "0.5", "1.5"),
        (5, "score != score", "score == score"),
        (7, "score < limit", "score <= limit"),
        (7, "not score < limit", "score < limit"),
        (7, "True", "False"),
        (7, "not score < limit and True", "not score < limit or True"),
    ]


@pytest.mark.parametrize("change", mutation_test.changes_of("module", SOURCE), ids=str)
def test_one_change_is_made_at_a_time(change):
    expected = SOURCE.splitlines()
    expected[change.line - 1] = expected[change.line - 1].replace(change.before, change.after)
    names: dict = {}
    exec(mutation_test.changed_code(SOURCE, change.index, "module.py"), names)
    right: dict = {}
    exec(compile("\n".join(expected), "module.py", "exec"), right)
    for score in (0.3, 0.5, 0.7):
        results = []
        for made in (names, right):
            try:
                results.append(made["is_high"](score))
            except ValueError as error:
                results.append(str(error))
        assert results[0] == results[1]


def test_every_module_and_its_tests_are_there():
    for name in mutation_test.MODULES:
        module = f"df2s2_d2.{name}"
        assert mutation_test.path_of(module).is_file()
        assert all((mutation_test.ROOT / test).exists() for test in mutation_test.tests_of(module))


def test_the_choice_is_the_same_for_a_seed_and_spread_over_the_modules():
    first, again = (list(mutation_test.chosen_changes([], 32, seed=3)) for _ in range(2))
    assert first == again and len(set(first)) == len(first) > 28
    assert len({change.module for change in first}) == len(mutation_test.MODULES)


def test_a_change_is_noticed_by_the_tests_of_its_module(monkeypatch, tmp_path):
    module = "df2s2_d2.formats.whole_numbers"
    test = tmp_path / "test_whole_numbers.py"
    test.write_text(
        "from df2s2_d2.formats.whole_numbers import parse_whole_number\n"
        "def test_digits():\n"
        "    assert parse_whole_number('9' * 9) == 999_999_999\n"
        "    assert parse_whole_number('9' * 10) is None\n"
    )
    source = mutation_test.path_of(module).read_text()
    (change,) = [c for c in mutation_test.changes_of(module, source) if c.before == "9"]
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, module, raising=False)
    assert not mutation_test.is_noticed(None, [str(test)])
    assert mutation_test.is_noticed(change, [str(test)])
