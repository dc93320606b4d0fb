"""The page of a check: figures, and a picture of everything that may be wrong."""

from __future__ import annotations

import io
from collections.abc import Sequence

from df2s2_d2.analysis.anchor_report import plot_statistics
from df2s2_d2.dataset_check.check import CheckResult, DatasetReport
from df2s2_d2.dataset_check.example_pictures import (
    LEGEND,
    choose_examples,
    draw_finding,
    draw_group,
)
from df2s2_d2.dataset_check.figures import draw_distributions
from df2s2_d2.dataset_check.findings import KINDS, Finding, Kind
from df2s2_d2.dataset_check.statistics import SIZE_NAMES, count_by_size
from df2s2_d2.pages.gallery import Card, facet_filters, gallery
from df2s2_d2.pages.html_page import Cell, grouped_table, page, paragraph, picture, table

_SHARED, _WITHIN = "Images in several data sets", "Images that occur more than once"
_MOST_ROWS = 25


def build_page(result: CheckResult, num_examples: int) -> str:
    """Show what was found.

    Args:
        result: of a check.
        num_examples: pictures of each kind of finding.

    Returns:
        An HTML document that refers to no other file.
    """
    cards: list[Card] = []
    found = _finding_sections(result, num_examples, cards)
    sections = {
        "Overview": [_overview(result)],
        "Findings": _kinds(result) + ([facet_filters(cards, {"size": SIZE_NAMES})]),
        **found,
        **_duplicates(result, num_examples),
        "Sizes and shapes": _distributions(result),
        **_training(result),
        "Events": _events(result),
    }
    names = ", ".join(report.dataset.name for report in result.reports)
    errors = result.num_errors
    verdict = (
        f"A training would stop: {errors:,} finding{'s are' if errors > 1 else ' is'} an error."
        if errors
        else "Nothing was found that a training stops for."
    )
    return page(f"Check of {names}", paragraph(verdict, note=errors > 0), sections)


def _overview(result: CheckResult) -> str:
    rows: list[list[Cell]] = []
    for report in result.reports:
        s = report.statistics
        rows.append(
            [
                report.dataset.name,
                s.num_images,
                s.num_readable,
                s.num_faces,
                s.num_ignored,
                s.num_faceless,
                f"{s.num_faces / max(s.num_images, 1):.2f}",
            ]
        )
    header = ["Data set", "Images", "Readable", "Faces", "Ignored regions", "Images without faces"]
    return table("What is annotated", [*header, "Faces an image"], rows)


def _kinds(result: CheckResult) -> list[str]:
    rows: list[list[Cell]] = []
    for kind in KINDS:
        counts = [len(_of_kind(report, kind)) for report in result.reports]
        if any(counts):
            rows.append([kind.title, *counts, "training stops" if kind.is_error else "look at it"])
    groups = result.duplicates
    for title, chosen in ((_SHARED, result.shared_groups), (_WITHIN, groups or [])):
        if chosen and (title == _WITHIN or len(result.reports) > 1):
            counts = [
                sum(number == k for group in chosen for number, _ in group)
                for k in range(len(result.reports))
            ]
            rows.append([title, *counts, "look at it"])
    pieces = []
    if groups is None:
        pieces.append(
            paragraph(
                "Only the heads of the images were read: broken images and those that show the "
                "same are not found.",
                note=True,
            )
        )
    if not rows:
        return [paragraph("None."), *pieces]
    header = ["Kind", *(report.dataset.name for report in result.reports), ""]
    return [table("Number of findings", header, rows), *pieces]


def _of_kind(report: DatasetReport, kind: Kind) -> list[Finding]:
    return [finding for finding in report.findings if finding.kind is kind]


def _finding_sections(
    result: CheckResult, num_examples: int, all_cards: list[Card]
) -> dict[str, list[str]]:
    """A section a kind; its pictures are added to ``all_cards``."""
    sections = {}
    for kind in KINDS:
        found = [(report, _of_kind(report, kind)) for report in result.reports]
        total = sum(len(findings) for _, findings in found)
        if not total:
            continue
        cards: list[Card] = []
        rows: list[list[Cell]] = []
        for report, findings in found:
            for finding in choose_examples(findings, max(num_examples, _MOST_ROWS)):
                card = draw_finding(report, finding) if len(cards) < num_examples else None
                if card is not None:
                    cards.append(card)
                elif len(rows) < _MOST_ROWS and not cards:
                    rows.append(_row(report, finding))
        pieces = [paragraph(kind.meaning)]
        if cards:
            pieces += [paragraph(f"{len(cards):,} of {total:,} are shown. {LEGEND}")]
            pieces.append(gallery(cards))
        elif rows:
            caption = f"{len(rows):,} of {total:,}; all stand in check.json"
            pieces.append(table(caption, ["Image", "Place", "What was found"], rows))
        all_cards += cards
        sections[kind.title] = pieces
    return sections


def _row(report: DatasetReport, finding: Finding) -> list[Cell]:
    row = report.finding_summary(finding)
    return [row.get("image") or row.get("file", "–"), row.get("place", "–"), finding.reason]


def _duplicates(result: CheckResult, num_examples: int) -> dict[str, list[str]]:
    sections = {}
    shared = result.shared_groups
    within = (result.duplicates or [])[len(shared) :]
    for title, groups, meaning in (
        (
            _SHARED,
            shared,
            "What is trained on cannot be tested on: a figure on these images says little. Take "
            "them out of one of the data sets.",
        ),
        (
            _WITHIN,
            within,
            "The same picture counts more than once, perhaps with other annotations. Pictures of "
            "one scene, such as frames of a video, are found too.",
        ),
    ):
        if groups:
            cards = [draw_group(result, group) for group in groups[:num_examples]]
            shown = f"{len(cards):,} of {len(groups):,} groups are shown; all stand in check.json."
            sections[title] = [paragraph(f"{meaning} {shown}"), gallery(cards)]
    return sections


def _distributions(result: CheckResult) -> list[str]:
    reports = {report.dataset.name: report for report in result.reports}
    alt = "Distributions of the sizes and shapes of faces, of faces per image and of image sizes"
    pieces = [picture(draw_distributions(reports), alt, (720, 1100))]
    header = ["Size", "Faces", "Share"]
    groups: dict[str, Sequence[Sequence[Cell]]] = {}
    for name, report in reports.items():
        total = report.statistics.num_faces
        counts = count_by_size(report.statistics.face_sizes)
        groups[name] = [[size, n, n / total] for size, n in counts.items() if n]
    groups = {name: rows for name, rows in groups.items() if rows}
    if groups:
        caption = "Faces by √(width × height), in pixels of the images as they are stored"
        pieces.append(grouped_table(caption, header, groups))
    return pieces


def _training(result: CheckResult) -> dict[str, list[str]]:
    reports = {r.dataset.name: r.anchors for r in result.reports if r.anchors is not None}
    if not reports:
        return {}
    buffer = io.BytesIO()
    plot_statistics(reports, buffer)
    alt = "Matched anchors per face, over its size, and distances to the nearest anchor size"
    groups: dict[str, Sequence[Sequence[Cell]]] = {}
    for name, anchors in reports.items():
        summary = anchors.summary()
        groups[name] = [
            [
                row["size"],
                row["faces"],
                f"{row['mean_anchors']:.2f}",
                float(row["shares_by_count"].get("0", 0)),
                row["share_near"],
            ]
            for row in [{"size": "all", **summary["all"]}, *summary["by_size"]]
            if row["faces"]
        ]
    header = ["Size in px", "Faces", "Anchors a face", "Without an anchor", "Near an anchor size"]
    return {
        "As the network sees it in training": [
            paragraph(
                f"Every image was augmented once as {result.config_file} trains it, and its faces "
                "were matched with the anchors of MODEL.SHOT. Faces without an anchor are not "
                "learnt from; where there are many, choose other anchors or resize differently. "
                "`df2s2 anchors` compares configs, `df2s2 browse` shows the images."
            ),
            picture(buffer.getvalue(), alt, (720, 1150)),
            grouped_table(
                "Faces by their size in the image that enters the network", header, groups
            ),
        ]
    }


def _events(result: CheckResult) -> list[str]:
    groups = {
        report.dataset.name: [
            [event, *counts.values()] for event, counts in report.statistics.by_event.items()
        ]
        for report in result.reports
    }
    header = ["Event", "Images", "Faces", "Ignored regions", "Images without faces"]
    return [grouped_table("By the first folder of the images", header, groups)]
