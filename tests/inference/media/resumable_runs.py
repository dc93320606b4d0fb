"""Runs that are ended and go on."""

from __future__ import annotations

from pathlib import Path

from df2s2_d2.formats.whole_outputs import PARTIAL
from df2s2_d2.inference.media.face_finding import FaceFinding
from df2s2_d2.inference.media.pictures import Pictures
from df2s2_d2.inference.media.result_files import ResultFiles
from df2s2_d2.inference.media.result_formats import RESULT_FORMATS
from df2s2_d2.inference.media.run_record import RunRecord
from df2s2_d2.inference.media.shards import Shard
from df2s2_d2.inference.media.sources import find_sources
from tests.inference.media.runs import consume
from tests.inference.media.scenes import find_white

SETTINGS = {"--save": list(RESULT_FORMATS), "weights": "sha256:1"}


def run(
    inputs: Path | list[Path],
    output: Path,
    *,
    resume: bool = False,
    shard: Shard = Shard(),  # noqa: B008
    predict=find_white,
    settings=SETTINGS,
    has_tracks: bool = False,
    hide: str | None = None,
) -> FaceFinding:
    """A run as the command makes it, in all formats."""
    inputs = inputs if isinstance(inputs, list) else [inputs]
    sources = find_sources(map(str, inputs))
    record = RunRecord(shard.of(sources), output / f"run{shard.suffix}.json", settings)
    if resume:
        record.load()
    else:
        record.remove()
    state = record.checkpoint and record.checkpoint["results"]
    results = ResultFiles(
        output,
        settings["--save"],
        0.01,
        sources=sources,
        shard=shard,
        state=state,
        has_tracks=has_tracks,
    )
    pictures = Pictures(output, hide=hide)
    finding = FaceFinding(predict, results, pictures, record=record, follow=consume, batch_size=1)
    with results, record.saved(results.sync):
        finding.run()
    return finding


def content(folder: Path) -> dict[str, bytes]:
    """All that a run wrote but its record, and the hidden rest of a file that a kill leaves."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("run.") and path.suffix != PARTIAL
    }
