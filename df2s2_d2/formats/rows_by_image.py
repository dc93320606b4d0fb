"""Detections and faces of many images: one array an image, or all of them as one table."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def concatenate_rows(
    rows_by_image: Iterable[tuple[str, np.ndarray]], columns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Join one array an image into one table.

    Args:
        rows_by_image: pairs of an image name and an (n, columns) array of finite numbers; an empty
            array may have any shape.

    Returns:
        (N,) int64 position of each row's image, and the (N, columns) float64 table.

    Raises:
        ValueError: if an array has another shape or holds nan or inf; the message names the image.
    """
    images, tables = [], []
    for image, rows in rows_by_image:
        table = np.asarray(rows, np.float64)
        if table.size == 0:
            table = np.zeros((0, columns))
        if table.ndim != 2 or table.shape[1] != columns:
            raise ValueError(
                f"{image}: expected an array of shape (n, {columns}), got {table.shape}"
            )
        images.append(image)
        tables.append(table)
    image_index = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    joined = np.concatenate([np.zeros((0, columns)), *tables])
    finite = np.isfinite(joined).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        image = image_index[row]
        place = row - int(np.searchsorted(image_index, image))
        raise ValueError(f"{images[image]}: row {place} holds nan or inf: {joined[row].tolist()}")
    return image_index, joined
