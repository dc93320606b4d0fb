"""Turn the copy of detectron2 inside another package's wheel into a wheel of its own.

The package EZannot of the package index carries upstream's detectron2 as the subpackage
``EZannot.detectron2``: complete, without the compiled extension, every import prefixed. Without
the prefix it is detectron2 again.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from pathlib import Path

VERSION = "0.6"

# Version and hash are pinned because the code is taken from someone else's package: nothing but
# these exact bytes has been looked at and tested.
CARRIER = "EZannot"
CARRIER_VERSION = "1.1.0"
CARRIER_SHA256 = "eb3db02d9a2fba6fa2934b25738a106087faccceb3629124d4d4b8e65759c0d7"

# What upstream's setup.py asks for, in its order.
REQUIREMENTS = (
    "Pillow>=7.1",
    "matplotlib",
    "pycocotools>=2.0.2",
    "termcolor>=1.1",
    "yacs>=0.1.8",
    "tabulate",
    "cloudpickle",
    "tqdm>4.29.0",
    "tensorboard",
    "fvcore>=0.1.5,<0.1.6",
    "iopath>=0.1.7",
    "omegaconf>=2.1,<2.4",
    "hydra-core>=1.1",
    "packaging",
)


def check_hash(archive: Path) -> None:
    """Check that a file is the pinned wheel.

    Raises:
        ValueError: the file has other contents.
    """
    actual = hashlib.sha256(archive.read_bytes()).hexdigest()
    if actual != CARRIER_SHA256:
        raise ValueError(
            f"{archive.name} has SHA-256 {actual}, but this project was tested with "
            f"{CARRIER_SHA256}"
        )


def build_wheel(archive: Path, directory: Path) -> Path:
    """Turn ``EZannot/detectron2`` of a wheel into a wheel of its own named detectron2.

    The same archive always gives the same wheel, byte for byte.

    Args:
        archive: wheel with the package ``EZannot.detectron2``.
        directory: where to put the new wheel.

    Returns:
        Path of the new wheel.

    Raises:
        ValueError: the archive has no such package.
    """
    folder = f"{CARRIER}/detectron2/"
    prefixed_name = f"{CARRIER}.detectron2".encode()
    contents: dict[str, bytes] = {}
    with zipfile.ZipFile(archive) as source:
        for name in sorted(source.namelist()):
            if name.startswith(folder) and not name.endswith("/"):
                data = source.read(name)
                # Module names occur in imports, but also in strings (logger names, the package of
                # lazy configs, the finder of detectron2.projects): all of them lose the prefix.
                if name.endswith(".py"):
                    data = data.replace(prefixed_name, b"detectron2")
                contents[name.removeprefix(f"{CARRIER}/")] = data
    if "detectron2/__init__.py" not in contents:
        raise ValueError(f"{archive.name} has no {folder}__init__.py: it is not the right package.")

    dist_info = f"detectron2-{VERSION}.dist-info"
    contents[f"{dist_info}/METADATA"] = _metadata().encode()
    contents[f"{dist_info}/WHEEL"] = (
        b"Wheel-Version: 1.0\n"
        b"Generator: repack_detectron2\n"
        b"Root-Is-Purelib: true\n"
        b"Tag: py3-none-any\n"
    )
    contents[f"{dist_info}/RECORD"] = _record(contents, f"{dist_info}/RECORD").encode()

    directory.mkdir(parents=True, exist_ok=True)
    wheel = directory / f"detectron2-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as target:
        for name, data in contents.items():
            # ZipInfo without a date is the zip epoch, so that time does not enter the bytes.
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o644 << 16
            target.writestr(entry, data, compress_type=zipfile.ZIP_DEFLATED)
    return wheel


def _metadata() -> str:
    header = [
        "Metadata-Version: 2.1",
        "Name: detectron2",
        f"Version: {VERSION}",
        "Summary: Detectron2 is FAIR's next-generation research platform for object detection and "
        "segmentation.",
        "Home-page: https://github.com/facebookresearch/detectron2",
        "Author: FAIR",
        "License: Apache-2.0",
        "Requires-Python: >=3.7",
        *(f"Requires-Dist: {requirement}" for requirement in REQUIREMENTS),
    ]
    description = (
        f"Built from the copy of detectron2 in {CARRIER} {CARRIER_VERSION}: import prefix "
        f"`{CARRIER}.` removed, no compiled extension (detectron2._C)."
    )
    return "\n".join([*header, "", description, ""])


def _record(contents: dict[str, bytes], own_name: str) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    for name, data in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        writer.writerow([name, f"sha256={digest}", len(data)])
    writer.writerow([own_name, "", ""])
    return table.getvalue()
