"""A detector as a function over batches of paths, for ``ray.data.Dataset.map_batches``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

import pyarrow as pa
import torch
from detectron2.config import CfgNode

from df2s2_d2.images.errors import one_line
from df2s2_d2.inference.detector_options import DEFAULT_MODEL
from df2s2_d2.inference.image_batches import BATCHES_TOGETHER, chunks, found_or_failed
from df2s2_d2.inference.media.frame_search import MOST_BYTES
from df2s2_d2.inference.media.result_files import face_rows
from df2s2_d2.inference.media.result_options import SCORE_THRESHOLD
from df2s2_d2.inference.predictor import TILE_ABOVE, Predictor
from df2s2_d2.inference.ray_data.face_table import Failed, FoundFaces, face_table
from df2s2_d2.inference.ray_data.image_list import COLUMNS
from df2s2_d2.inference.ray_data.image_reading import (
    Decoded,
    Encoded,
    decode_images,
    fetch_images,
)


class FindFaces:
    """Adds the faces of images to a table of their paths; one for each worker of a pool.

    ``dataset.map_batches(FindFaces, batch_format="pyarrow", batch_size=256, num_gpus=1,
    compute=ray.data.ActorPoolStrategy(size=8))``. Reading and detecting overlap within a batch,
    and the images that are held at once are bounded in number and bytes, however many a batch has.

    Args:
        model, overrides, tile_above, precision, runtime: see :class:`~df2s2_d2.Predictor`.
        batch_size: most images that the network gets at once.
        score_threshold: only faces with a higher score are given.
        root: folder that paths are relative to; None for the working folder of the worker.

    Raises:
        FileNotFoundError, ValueError: see :class:`~df2s2_d2.Predictor`.
    """

    def __init__(
        self,
        model: str | os.PathLike | CfgNode = DEFAULT_MODEL,
        *,
        overrides: list | tuple = (),
        batch_size: int = 8,
        tile_above: int = TILE_ABOVE,
        precision: str = "fp32",
        runtime: str = "auto",
        score_threshold: float = SCORE_THRESHOLD,
        root: str | None = None,
    ):
        self._predict = Predictor(
            model,
            overrides=overrides,
            batch_size=batch_size,
            tile_above=tile_above,
            precision=precision,
            runtime=runtime,
            image_format="RGB",
        )
        self._batch_size = batch_size
        self._score_threshold = score_threshold
        self._root = root or ""

    def __call__(self, table: pa.Table) -> pa.Table:
        """Look for the faces in the images of a table.

        Args:
            table: with a column ``path`` of paths, or addresses that fsspec knows. If it has a
                column ``bytes`` too, the images are taken from there.

        Returns:
            The table without ``bytes``, with ``width``, ``height``, ``boxes``, ``scores`` and
            ``error`` of each image, see :mod:`~df2s2_d2.inference.ray_data.face_table`.

        Raises:
            ValueError: if the table has no column ``path``.
            ImportError: if a package is missing without which addresses cannot be read.
        """
        path, content = COLUMNS[0], "bytes"
        if path not in table.column_names:
            raise ValueError(
                f"expected a column {path} with the paths of images, found "
                f"{', '.join(table.column_names)}"
            )
        paths = table[path].to_pylist()
        if content in table.column_names:
            found = self.in_files(zip(paths, (x.as_py() for x in table[content]), strict=True))
            table = table.drop_columns([content])
        else:
            found = self.in_paths(paths)
        for column in found.schema.names[1:]:  # The first is the path.
            table = table.append_column(column, found[column])
        return table

    def in_paths(self, paths: Iterable[str]) -> pa.Table:
        """What is in images, read ahead, as a table of :data:`face_table.SCHEMA`."""
        with contextlib.closing(fetch_images(paths, self._root)) as fetched:
            return self.in_files(fetched)

    def in_files(self, encoded: Iterable[Encoded]) -> pa.Table:
        """The same of files that are read already."""
        with contextlib.closing(decode_images(encoded, self._batch_size)) as decoded:
            sized = ((one, getattr(one[1], "nbytes", 0)) for one in decoded)
            together = BATCHES_TOGETHER * self._batch_size
            pieces = chunks(sized, max_items=together, max_cost=MOST_BYTES)
            return face_table(result for piece in pieces for result in self._detect(piece))

    def _detect(self, images: list[Decoded]) -> Iterator[FoundFaces | Failed]:
        sound = [pixels for _, pixels in images if not isinstance(pixels, Exception)]
        found = iter(found_or_failed(self._predict, sound) if sound else [])
        for path, pixels in images:
            if isinstance(pixels, Exception):
                yield Failed(path, str(pixels))
                continue
            faces = next(found)
            if isinstance(faces, torch.AcceleratorError):
                raise faces  # The device is lost to this process, whatever the image.
            if isinstance(faces, Exception):
                yield Failed(path, f"{path}: the detector failed ({one_line(faces)})")
                continue
            try:
                yield FoundFaces(path, pixels.shape[:2], face_rows(faces, self._score_threshold))
            except ValueError as error:
                yield Failed(path, f"{path}: {error}")
