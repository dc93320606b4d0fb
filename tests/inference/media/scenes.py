"""Images and videos with white squares for faces, and a stand-in that finds them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import torch
from detectron2.structures import Boxes, Instances
from PIL import Image

from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.sources import Source


def scene(*faces: tuple[int, int, int, int], size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """(H, W, 3) uint8 RGB: dark blue, with a white square for each XYXY face."""
    image = np.full((*size, 3), (20, 30, 90), np.uint8)
    for x1, y1, x2, y2 in faces:
        image[y1:y2, x1:x2] = 255
    return image


def instances(boxes, scores, size: tuple[int, int] = (96, 128)) -> Instances:
    boxes = torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    scores = torch.as_tensor(scores, dtype=torch.float32)
    return Instances(size, pred_boxes=Boxes(boxes), scores=scores)


def find_white(images: list[np.ndarray]) -> list[Instances]:
    """Stands for a Predictor: each white region with score 0.9, its left half with 0.3."""
    return [_find_white(image) for image in images]


def _find_white(image: np.ndarray) -> Instances:
    is_white = (image.min(axis=2) > 200).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(is_white)
    x, y, width, height = stats[1:, :4].T.astype(np.float32)
    whole = np.stack([x, y, x + width, y + height], axis=1)
    half = np.stack([x, y, x + width / 2, y + height], axis=1)
    scores = np.repeat([0.9, 0.3], len(whole))
    return instances(np.concatenate([whole, half]), scores, image.shape[:2])


def image_source(name: str = "photo.png", folder: str = "/photos") -> Source:
    return Source(Path(folder) / name, PurePosixPath(name))


def video_frame(index: int, time: float, name: str = "clip.avi") -> Frame:
    source = Source(Path("/videos") / name, PurePosixPath(name).with_suffix(".mp4"))
    return Frame(source, scene(), index, time)


def write_image(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def read_image(path: Path) -> np.ndarray:
    return np.array(Image.open(path).convert("RGB"))


def write_video(
    path: Path, images: list[np.ndarray], fps: float = 10.0, codec: str = "mp4v"
) -> Path:
    """Write RGB images by OpenCV alone."""
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, (width, height))
    assert writer.isOpened()
    for image in images:
        writer.write(image[..., ::-1].copy())
    writer.release()
    return path


def read_video(path: Path) -> tuple[list[np.ndarray], float]:
    """RGB images and frames a second, by OpenCV alone."""
    capture = cv2.VideoCapture(str(path))
    fps, images = capture.get(cv2.CAP_PROP_FPS), []
    while (result := capture.read())[0]:
        images.append(result[1][..., ::-1])
    return images, fps


def moving_face(num_frames: int) -> list[np.ndarray]:
    """A face of 24 pixels that moves right by 2 pixels a frame, from column 10."""
    return [scene((10 + 2 * i, 30, 34 + 2 * i, 54)) for i in range(num_frames)]
