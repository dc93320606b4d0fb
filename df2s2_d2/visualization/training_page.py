"""A page of training samples as the network gets them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import numpy as np

from df2s2_d2.formats.annotated_image import event_of
from df2s2_d2.pages.gallery import Card, facet_filters, gallery
from df2s2_d2.pages.html_page import Cell, grouped_table, page, paragraph
from df2s2_d2.visualization.training_pictures import LEVEL_COLORS, draw_sample
from df2s2_d2.visualization.training_samples import TrainingSample


def build_page(config_file: str, seed: int, samples: Iterable[TrainingSample]) -> str:
    """Show samples with their faces, anchors and masks, one after the other.

    Args:
        config_file: name of the config.
        seed: that the samples were made by.
        samples: used up one by one; only their pictures are kept.

    Returns:
        An HTML document that refers to no other file.

    Raises:
        ValueError: if there are no samples.
    """
    cards, counts = [], _Counts()
    for sample in samples:
        cards.append(_card(sample))
        counts.add(sample)
    if not cards:
        raise ValueError("no image is left to show: all that were chosen cannot be read")
    introduction = paragraph(
        f"Images of DATASETS.TRAIN as {config_file} augments them (seed {seed}), and what the "
        "network is to learn from them: every picture is what one training step would get."
    )
    sections = {
        "Overview": [counts.table(), facet_filters(cards)],
        "Images": [
            paragraph(
                "Green: faces; orange: faces without any anchor, from which nothing is learnt; "
                "dark, with a dashed frame: regions to be ignored. Anchors and masks have the "
                "colours of their levels."
            ),
            counts.legend(),
            gallery(cards, is_wide=True),
        ],
    }
    return page(f"What {config_file} trains on", introduction, sections)


def _card(sample: TrainingSample) -> Card:
    height, width = sample.image.shape[:2]
    is_mosaic = len(sample.image_ids) > 1
    name = f"{'mosaic of ' if is_mosaic else ''}{', '.join(sample.image_ids)}"
    lines = [
        f"{name}: {width} × {height} px, {len(sample.faces)} of "
        f"{sample.num_annotated} faces, {len(sample.regions)} ignored regions"
    ]
    for shot, levels in sample.shots.items():
        parts = [
            f"{level.name} {len(level.anchors):,} of {len(np.unique(level.faces)):,} faces"
            for level in levels
            if len(level.anchors)
        ]
        lines.append(f"{shot}, anchors: {', '.join(parts) or 'none'}")
    events = set(map(event_of, sample.image_ids))
    facets = {
        "event": "several" if len(events) > 1 else min(events),
        "kind": "mosaic" if is_mosaic else "single image",
    }
    return Card(draw_sample(sample), f"Training image: {name}", lines, facets)


class _Counts:
    """What all samples together hold."""

    def __init__(self) -> None:
        self._samples = self._annotated = self._faces = 0
        # Shot -> level -> its anchor sizes, positive anchors, faces with any, cells of masks.
        self._levels: dict[str, dict[str, tuple[str, list[int]]]] = {}
        self._unmatched: dict[str, int] = {}

    def add(self, sample: TrainingSample) -> None:
        self._samples += 1
        self._annotated += sample.num_annotated
        self._faces += len(sample.faces)
        for shot, levels in sample.shots.items():
            unmatched = int((sample.anchors_per_face(shot) == 0).sum())
            self._unmatched[shot] = self._unmatched.get(shot, 0) + unmatched
            rows = self._levels.setdefault(shot, {})
            for level in levels:
                sizes = ", ".join(f"{size:.0f}" for size in level.anchor_sizes)
                _, totals = rows.setdefault(level.name, (sizes, [0, 0, 0]))
                cells = 0 if level.mask is None else int(level.mask.sum())
                new = len(level.anchors), len(np.unique(level.faces)), cells
                totals[:] = [a + b for a, b in zip(totals, new, strict=True)]

    def table(self) -> str:
        """Positive anchors on each level."""
        groups: dict[str, list[list[Cell]]] = {
            f"{shot}: {self._unmatched[shot]:,} faces without an anchor": [
                [name, sizes, *totals] for name, (sizes, totals) in rows.items()
            ]
            for shot, rows in self._levels.items()
        }
        caption = (
            f"{self._samples:,} images, {self._faces:,} of {self._annotated:,} faces left after "
            "augmentation"
        )
        header = ["Level", "Anchor sizes in px", "Positive anchors", "Faces", "Cells in masks"]
        return grouped_table(caption, header, groups)

    def legend(self) -> str:
        """The colours of the levels."""
        lines = []
        for shot, rows in self._levels.items():
            marks = " ".join(
                f'<span style="border-bottom:.3rem solid rgb{color}">{escape(name)}</span>'
                for name, color in zip(rows, LEVEL_COLORS, strict=False)
            )
            lines.append(f"<p>{escape(shot)}: {marks}</p>")
        return "".join(lines)
