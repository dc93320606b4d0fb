"""Images are fetched and decoded in order, ahead within bounds."""

from __future__ import annotations

import contextlib
import io
import threading

import fsspec
import numpy as np
import pytest
from PIL import Image

from df2s2_d2.images.errors import BrokenImageError, ImageError, MissingImageError
from df2s2_d2.inference.ray_data import image_reading
from df2s2_d2.inference.ray_data.image_reading import decode_images, fetch_images


def png(value: int, size: tuple[int, int] = (8, 6)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (value, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def read(paths, root="", ahead=4):
    with contextlib.closing(fetch_images(paths, root)) as fetched:
        return list(decode_images(fetched, ahead))


def test_images_come_in_order_from_paths_and_addresses(tmp_path):
    (tmp_path / "a.png").write_bytes(png(1))
    (tmp_path / "b.png").write_bytes(png(2))
    fsspec.filesystem("memory").pipe_file("/test_image_reading/c.png", png(3))
    paths = ["a.png", "memory://test_image_reading/c.png", str(tmp_path / "b.png")] * 10
    images = read(paths, str(tmp_path))
    assert [path for path, _ in images] == paths
    assert [pixels[0, 0].tolist() for _, pixels in images] == [[1, 0, 0], [3, 0, 0], [2, 0, 0]] * 10
    fsspec.filesystem("memory").rm("/test_image_reading", recursive=True)


def test_what_cannot_be_read_is_an_error_that_names_it(tmp_path):
    (tmp_path / "text.jpg").write_text("text")
    (tmp_path / "half.png").write_bytes(png(1, (400, 300))[:300])
    (tmp_path / "good.png").write_bytes(png(1))
    names = ["text.jpg", "half.png", "absent.png", "memory://absent.png", "strange://x.png"]
    *failed, good = read([*names, "good.png"], str(tmp_path))
    errors = [error for _, error in failed]
    assert [type(error) for error in errors] == [
        *(BrokenImageError, BrokenImageError, MissingImageError, MissingImageError),
        BrokenImageError,
    ]
    for name, error in zip(names, errors, strict=True):
        assert str(error).startswith(f"The image {name} ")
    assert isinstance(good[1], np.ndarray)


def test_a_missing_package_is_no_fault_of_the_images(monkeypatch):
    def resolve(path):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(image_reading.fsspec.core, "url_to_fs", resolve)
    with pytest.raises(ImportError, match="Install s3fs"):
        read(["s3://bucket/a.jpg"])


def test_a_slow_consumer_stops_the_reading(monkeypatch):
    """No more is fetched and decoded than the bounds allow, whatever the length of the list."""
    fetched, decoded = [], []
    lock = threading.Lock()

    def content(path, root):
        with lock:
            fetched.append(path)
        return png(1)

    decode = image_reading.decode_image

    def counting(file, image_format):
        with lock:
            decoded.append(file)
        return decode(file, image_format)

    monkeypatch.setattr(image_reading, "_content", content)
    monkeypatch.setattr(image_reading, "decode_image", counting)
    paths = [f"{number}.png" for number in range(1000)]
    fetching = fetch_images(paths, "")
    images = decode_images(fetching, ahead=4)
    for used in range(1, 30):
        next(images)
        with lock:
            # In use, waiting, and the next one.
            assert len(decoded) <= used + 4 + 1
            assert len(fetched) <= used + 4 + 1 + image_reading._FETCHES + 1
    images.close()
    fetching.close()


def test_large_images_wait_one_by_one(monkeypatch):
    monkeypatch.setattr(image_reading, "MOST_BYTES", 3 * 100 * 100)
    decoded = []
    decode = image_reading._decode
    monkeypatch.setattr(image_reading, "_decode", lambda one: decoded.append(one[0]) or decode(one))
    encoded = ((str(number), png(1, (100, 100))) for number in range(50))
    images = decode_images(encoded, ahead=40)
    for used in range(1, 10):
        next(images)
        assert len(decoded) <= used + 1
    images.close()


def test_errors_pass_through_decoding():
    error = ImageError("The image x is not there.")
    assert list(decode_images([("x", error)], 1)) == [("x", error)]
