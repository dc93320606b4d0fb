"""What is not installed is told with the command that installs it."""

from __future__ import annotations

import sys

import pytest

from df2s2_d2.missing_packages import with_remedy


def without(monkeypatch, package: str) -> None:
    """Let a package be missing, and whatever imports it be imported anew."""
    for name in list(sys.modules):
        if name.partition(".")[0] in (package, "df2s2_d2"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)


@pytest.mark.parametrize(
    ("package", "remedy"),
    [("detectron2", "df2s2 install-detectron2"), ("torch", "pip install 'df2s2_d2[detect]'")],
)
def test_python_users_are_told(monkeypatch, package, remedy):
    without(monkeypatch, package)
    if package == "torch":  # detectron2, which is imported first, would ask for it
        without(monkeypatch, "detectron2")
        monkeypatch.delitem(sys.modules, "detectron2")
    with pytest.raises(ModuleNotFoundError) as caught:
        from df2s2_d2 import load_config  # noqa: F401
    assert remedy in str(caught.value)


@pytest.mark.parametrize("package", ["ray", "ray.data", "pyarrow.parquet"])
def test_what_a_cluster_takes_is_an_extra_of_its_own(package):
    error = ModuleNotFoundError(f"No module named {package!r}", name=package)
    assert "pip install 'df2s2_d2[ray]'" in str(with_remedy(error))


def test_other_packages_are_left_to_python():
    error = ModuleNotFoundError("No module named 'nothing'", name="nothing")
    assert with_remedy(error) is error
