"""What a check found, in lines for a terminal."""

from __future__ import annotations

from df2s2_d2.dataset_check.check import CheckResult, DatasetReport
from df2s2_d2.dataset_check.findings import KINDS


def summary_text(result: CheckResult) -> str:
    """Counts of everything that was found, and an example of each kind."""
    lines = [line for report in result.reports for line in [*_describe(report), ""]]
    if result.duplicates is not None:
        count = sum(map(len, result.duplicates))
        lines.append(
            f"images that show the same: {count:,} in {len(result.duplicates):,} groups"
            + (
                f", {len(result.shared_groups):,} across data sets"
                if len(result.reports) > 1
                else ""
            )
        )
    errors = result.num_errors
    lines.append(
        f"{errors:,} finding{'s' * (errors != 1)} that a training stops for"
        if errors
        else "nothing that a training stops for"
    )
    return "\n".join(lines)


def _describe(report: DatasetReport) -> list[str]:
    s = report.statistics
    lines = [
        f"{report.dataset.name}: {s.num_images:,} images, {s.num_faces:,} faces, "
        f"{s.num_ignored:,} ignored regions, {s.num_faceless:,} images without faces"
    ]
    if not report.dataset.is_annotated:
        lines[0] = f"{report.dataset.name}: {s.num_images:,} images without annotations"
    for kind in KINDS:
        found = [one for one in report.findings if one.kind is kind]
        if not found:
            continue
        first = max(found, key=lambda one: one.weight)
        row = report.finding_summary(first)
        where = ", ".join(
            row[key] for key in ("image", "place", "file") if key in row and key != "file"
        ) or row.get("file", "")
        example = f"{where}: {first.reason}" if where else first.reason
        mark = "ERROR " if kind.is_error else ""
        lines.append(f"  {len(found):>7,}  {mark}{kind.title.lower()}, such as {example}")
    return lines
