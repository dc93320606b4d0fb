"""What is drawn, looked at by tests."""

from __future__ import annotations

from pathlib import Path

from matplotlib.image import imread


def lines_of(axes) -> dict[str, tuple[list, list]]:
    return {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata()))
        for line in axes.get_lines()
    }


def check_picture(path: Path) -> None:
    image = imread(path)[..., :3]
    assert min(image.shape[:2]) > 200
    inked = (image < 0.95).any(axis=2).mean()
    assert 0.005 < inked < 0.5, "something is drawn, and it is not a black page"
