"""A worker of a run: it looks at one part of the images after the other, and writes what it finds.

Parts have their numbers, and files by these, which appear whole. So a part that is done again, as
after the end of a worker, changes nothing, and one whose files are there is not done again.
"""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from df2s2_d2.config import parse_config
from df2s2_d2.images.errors import one_line
from df2s2_d2.inference.ray_data.face_table import TABLE_FORMATS, Failed, face_table
from df2s2_d2.inference.ray_data.find_faces import FindFaces
from df2s2_d2.inference.ray_data.image_list import ImageList
from df2s2_d2.inference.ray_data.output_folder import OutputFolder
from df2s2_d2.inference.ray_data.part_attempts import PartAttempts
from df2s2_d2.models import local_file

# Failures that are told of one part; all are in the results.
_MOST_TOLD = 20


@dataclass(frozen=True)
class Job:
    """What all workers of a run do alike.

    Attributes:
        output: folder with the list of the images, for the results.
        part_size: images of a part.
        formats: of the results, of ``TABLE_FORMATS``.
        config: of the detector, as YAML.
        weights_name: of its file.
        weights: the content of that file, which need not be where workers are.
        device: "cuda" or "cpu".
        threads: of PyTorch, on the CPU.
        batch_size, tile_above, precision, runtime: see :class:`~df2s2_d2.Predictor`.
        score_threshold: faces with a higher score are written.
        shown_threshold: faces with a higher score are counted as shown.
        root: folder that paths in the list are relative to.
    """

    output: OutputFolder
    part_size: int
    formats: tuple[str, ...]
    config: str
    weights_name: str
    weights: bytes
    device: str
    threads: int
    batch_size: int
    tile_above: int
    precision: str
    runtime: str
    score_threshold: float
    shown_threshold: float
    root: str


@dataclass(frozen=True)
class PartSummary:
    """What became of a part.

    Attributes:
        part: its number, from 0.
        images: in the part.
        faces: in the results.
        shown: of these with a score above the threshold for being shown.
        failures: images that could not be looked at.
        told: what went wrong with the first of them, a sentence each.
        fault: why the part could not be done, and no other can be; "" if it was.
    """

    part: int
    images: int = 0
    faces: int = 0
    shown: int = 0
    failures: int = 0
    told: tuple[str, ...] = ()
    fault: str = ""

    @classmethod
    def of(cls, part: int, table: pa.Table, shown_threshold: float) -> PartSummary:
        """The summary of a part by its table, of ``face_table.SCHEMA``."""
        scores = table["scores"].combine_chunks().flatten()
        errors = table["error"].drop_null()
        return cls(
            part=part,
            images=len(table),
            faces=len(scores),
            shown=pc.sum(pc.greater(scores, shown_threshold)).as_py() or 0,
            failures=len(errors),
            told=tuple(errors.slice(0, _MOST_TOLD).to_pylist()),
        )

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> PartSummary:
        """The summary in a row of the worker's output."""
        return cls(**{**row, "told": tuple(row["told"])})

    def to_batch(self) -> dict[str, list]:
        """A batch of one row."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: [value] for name, value in {**values, "told": list(self.told)}.items()}


class PartWorker:
    """Looks at parts, for ``map_batches``: a batch of the column ``part``, of one row, at a time.

    Args:
        job: what is to be done.
    """

    def __init__(self, job: Job):
        self._job = job
        self._images = ImageList(job.output, job.part_size)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list]:
        """Do a part, unless its files are there already.

        Returns:
            The columns of a :class:`PartSummary`. What keeps every part from being done is told
            there too: Ray would tell of an exception by its traceback.
        """
        (part,) = batch["part"].tolist()
        try:
            return self.look_at(part).to_batch()
        except torch.AcceleratorError:
            # Nothing can be computed in this process any more: Ray starts another.
            os._exit(1)
        except Exception as error:
            return PartSummary(part, fault=one_line(error)).to_batch()

    def look_at(self, part: int) -> PartSummary:
        """The same without a batch.

        Raises:
            OSError, ValueError, ImportError, RuntimeError: if results cannot be written, the
                detector cannot be built, a package is missing, or workers die before they begin.
        """
        job, paths = self._job, self._images.part(part)
        table = self._written(part, paths)
        if table is None:
            attempts = PartAttempts(job.output, part)
            if attempts.is_first:
                table = self._find_faces.in_paths(paths)
            else:
                table = self._look_one_by_one(paths, attempts)
            for name in job.formats:
                job.output.write(part_file(name, part), TABLE_FORMATS[name].encode(table))
        return PartSummary.of(part, table, job.shown_threshold)

    def _look_one_by_one(self, paths: Sequence[str], attempts: PartAttempts) -> pa.Table:
        find_faces = self._find_faces
        tables = []
        for place, path in enumerate(paths):
            if attempts.has_killed(place):
                error = (
                    f"The image {path} ended the worker that looked at it, again and again: leave "
                    "it out"
                )
                tables.append(face_table([Failed(path, error)]))
                continue
            attempts.note(place)
            tables.append(find_faces.in_paths([path]))
        return pa.concat_tables(tables)

    def _written(self, part: int, paths: Sequence[str]) -> pa.Table | None:
        """The table of a part that is written whole, in all formats; else None."""
        table = None
        for name in self._job.formats:
            content = self._job.output.read(part_file(name, part))
            if content is None:
                return None
            try:
                table = TABLE_FORMATS[name].decode(content)
            except ValueError:  # damaged
                return None
            if table["file"].to_pylist() != paths:
                return None
        return table

    @functools.cached_property
    def _find_faces(self) -> FindFaces:
        job = self._job
        torch.set_num_threads(job.threads)
        cfg = parse_config(job.config, "The config of the run")
        cfg.MODEL.DEVICE = job.device
        with contextlib.ExitStack() as stack:
            # A model that is here by its name may have a file for a faster runtime, too.
            if not _is_file_of(cfg.MODEL.WEIGHTS, job.weights):
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                cfg.MODEL.WEIGHTS = os.path.join(folder, job.weights_name)
                Path(cfg.MODEL.WEIGHTS).write_bytes(job.weights)
            return FindFaces(
                cfg,
                batch_size=job.batch_size,
                tile_above=job.tile_above,
                precision=job.precision,
                runtime=job.runtime,
                score_threshold=job.score_threshold,
                root=job.root,
            )


def _is_file_of(weights: str, content: bytes) -> bool:
    """Whether this machine has a model of that name, or a file at that path, of that content."""
    try:
        return Path(local_file(weights)).read_bytes() == content
    except (OSError, ValueError):
        return False


def part_file(format_name: str, part: int) -> str:
    """The file of a part below the output folder."""
    return f"{format_name}/part-{part:06d}.{format_name}"
