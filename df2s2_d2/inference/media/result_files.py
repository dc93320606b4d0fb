"""Faces found -> the result files of a run, in all formats that are wanted.

Every frame is written as soon as it is added, so that a run that breaks off leaves what it found,
also if there is no more room for it, and memory does not grow with the number of frames. All
formats hold the same numbers; what one of them cannot hold is told at the end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.structures import Instances

from df2s2_d2.inference.faces import BOX_DECIMALS, SCORE_DECIMALS
from df2s2_d2.inference.media.coco_image_ids import CocoImageIds
from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.result_formats import RESULT_FORMATS, ResultFile, RunOutput
from df2s2_d2.inference.media.shards import Shard
from df2s2_d2.inference.media.sources import Source


def face_rows(instances: Instances, score_threshold: float) -> np.ndarray:
    """Detections as they are written, rounded.

    Args:
        instances: with ``pred_boxes`` in pixels of the image and ``scores``.
        score_threshold: only those with a higher score are given.

    Returns:
        (n, 5) float64 ``x1, y1, x2, y2, score``.

    Raises:
        ValueError: if a number is not finite.
    """
    instances = instances[instances.scores > score_threshold]
    boxes = instances.pred_boxes.tensor.double().numpy()
    scores = instances.scores.double().numpy()
    faces = np.column_stack([boxes.round(BOX_DECIMALS), scores.round(SCORE_DECIMALS)])
    if not np.isfinite(faces).all():
        raise ValueError("A face has a box that is not finite: the detector is broken")
    return faces


class UnwritableResults(OSError):
    """A result file cannot be written any more."""


class ResultFiles:
    """The result files of a run, begun and closed by a ``with``.

    What was in their places remains until then: if one of them cannot be opened, nothing is lost.
    """

    def __init__(
        self,
        folder: Path,
        formats: Sequence[str],
        score_threshold: float = 0.0,
        coco_ground_truth: CocoImageIds | None = None,
        *,
        sources: Sequence[Source] = (),
        shard: Shard = Shard(),  # noqa: B008 (it cannot be changed)
        state: Mapping[str, Any] | None = None,
        is_resumable: bool = True,
        has_tracks: bool = False,
    ):
        """
        Args:
            folder: where they go; made if need be.
            formats: of ``RESULT_FORMATS``; may be empty.
            score_threshold: only faces with a higher score are written.
            coco_ground_truth, sources, shard, is_resumable, has_tracks: see
                :class:`~df2s2_d2.inference.media.result_formats.base.RunOutput`.
            state: what :meth:`state` was in a run that broke off, to continue it; None starts anew.

        Raises:
            OSError: if the files cannot be made, or are not there to be continued.
            ValueError: if a file that is to be continued is not as it was left.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.score_threshold = score_threshold
        self.has_tracks = has_tracks
        state = state or {"faces": 0}
        self.num_faces: int = state["faces"]
        output = RunOutput(folder, sources, shard, coco_ground_truth, is_resumable, has_tracks)
        self._files: dict[str, ResultFile] = {}
        with contextlib.ExitStack() as opened:
            for name in dict.fromkeys(formats):
                self._files[name] = RESULT_FORMATS[name](output, state.get(name))
                opened.callback(self._files[name].close)
            self._opened = opened.pop_all()

    def start(self) -> None:
        """Begin all files; needed before the first frame.

        Raises:
            OSError: if there is no room for them.
        """
        for file in self._files.values():
            file.start()

    def add(self, frame: Frame, instances: Instances) -> None:
        """Write the faces of a frame.

        Args:
            frame: that they are in.
            instances: with ``pred_boxes`` in its pixels, ``scores`` and, if they are tracked,
                ``track_ids``, which are 0 for faces on no track.

        Raises:
            ValueError: if a number is not finite; nothing is written then.
            UnwritableResults: if a file cannot be written.
        """
        instances = instances[instances.scores > self.score_threshold]
        faces = face_rows(instances, self.score_threshold)
        track_ids = instances.track_ids.numpy() if instances.has("track_ids") else None
        try:
            for file in self._files.values():
                file.add(frame, faces, track_ids)
        except OSError as error:
            raise UnwritableResults(
                f"The results end before {frame}: {error}; run again once {self.folder} takes them"
            ) from error
        self.num_faces += len(faces)

    def state(self) -> dict[str, Any]:
        """What continues the files after the last frame, to be kept as JSON."""
        return {"faces": self.num_faces} | {k: file.state() for k, file in self._files.items()}

    def sync(self) -> None:
        """Wait until all that was added is on the disk."""
        for file in self._files.values():
            file.sync()

    def close(self) -> None:
        self._opened.close()

    def __enter__(self) -> ResultFiles:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.close()
