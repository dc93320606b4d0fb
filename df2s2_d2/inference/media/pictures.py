"""Pictures, videos and face crops of a run, below one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from detectron2.structures import Instances

from df2s2_d2.inference.media.face_regions import crop_faces
from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.image_writing import write_image
from df2s2_d2.inference.media.privacy import hide_faces
from df2s2_d2.inference.media.sources import Source
from df2s2_d2.inference.media.video_recorder import VideoRecorder
from df2s2_d2.visualization.face_boxes import draw_detections


@dataclass(frozen=True)
class Pictures:
    """How the frames of a run are to be seen, and which of that is written where.

    Attributes:
        folder: for images and videos by the names of their sources, and for ``crops/``.
        threshold: only faces with a higher score are in pictures and crops.
        is_written: whether images and videos are written.
        is_shown: whether somebody looks at them, so that they are made even if not written.
        draws_boxes: whether faces are framed.
        hide: style of :func:`~df2s2_d2.inference.media.privacy.hide_faces`; None leaves faces
            visible.
        crop_margin: see :func:`~df2s2_d2.inference.media.face_regions.crop_faces`; None for no
            crops.
    """

    folder: Path
    threshold: float = 0.5
    is_written: bool = True
    is_shown: bool = False
    draws_boxes: bool = True
    hide: str | None = None
    crop_margin: float | None = None

    def make(
        self, frame: Frame, faces: Instances | None, hidden: np.ndarray | None = None
    ) -> np.ndarray | None:
        """Write the crops of a frame, and make its picture.

        Args:
            frame: it is not changed.
            faces: in its pixels, above the threshold; None if they are unknown because the
                detector failed: then all of the frame is hidden, if faces are to be.
            hidden: (n, 4) XYXY in its pixels, of faces that are to be hidden; None for ``faces``.

        Returns:
            (H, W, 3) uint8 RGB; None if nobody wants it.

        Raises:
            OSError: if a crop cannot be written.
            ValueError: if a coordinate is not finite.
        """
        if self.crop_margin is not None and faces is not None:
            self._write_crops(frame, faces)
        if not (self.is_written or self.is_shown):
            return None
        picture = frame.image
        if self.hide is not None:
            if faces is None:
                height, width = picture.shape[:2]
                hidden = np.array([[0.0, 0, width, height]])
            elif hidden is None:
                hidden = faces.pred_boxes.tensor.numpy()
            picture = hide_faces(picture, hidden, self.hide)
        if self.draws_boxes and faces is not None:
            picture = draw_detections(picture, faces)
        return picture

    def write_image(self, frame: Frame, picture: np.ndarray | None) -> None:
        """Write the picture of an image file, if pictures are written.

        Raises:
            OSError: if it cannot be written.
        """
        if self.is_written:
            write_image(self.folder / frame.source.name, picture)

    def recorder(self, source: Source, fps: float) -> VideoRecorder | None:
        """What the pictures of a video are written by, if they are."""
        if not self.is_written:
            return None
        original = source.path if source.is_file else None
        return VideoRecorder(self.folder / source.name, fps, original=original)

    def _write_crops(self, frame: Frame, faces: Instances) -> None:
        """``crops/<name of the source>/<number>.jpg``, in videos ``<frame>_<number>.jpg``."""
        folder = self.folder / "crops" / frame.source.name
        place = "" if frame.index is None else f"{frame.index:06d}_"
        crops = crop_faces(frame.image, faces.pred_boxes.tensor.numpy(), self.crop_margin)
        for number, crop in enumerate(crops, start=1):
            write_image(folder / f"{place}{number}.jpg", crop)
