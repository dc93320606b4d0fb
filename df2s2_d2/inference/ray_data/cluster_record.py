"""What a run over a cluster was asked, so that only the same run goes on in its folder.

``run.json`` says it, ``inputs.parquet`` lists the images. How far the run came, the files of its
parts say.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from df2s2_d2.formats.json_file import shorten
from df2s2_d2.inference.media.run_record import settings_changes
from df2s2_d2.inference.ray_data.image_list import (
    LIST_FILE,
    find_images,
    listed_images,
    write_list,
)
from df2s2_d2.inference.ray_data.output_folder import OutputFolder
from df2s2_d2.inference.ray_options import FORMATS

_FILE = "run.json"
_VERSION = 1
# Divisors of image_list.GROUP, the largest of which is taken that gives every worker some parts: a
# run ends when the last of them is done.
_PART_SIZES = (1000, 500, 250, 125, 50, 25, 10, 5, 2, 1)
_PARTS_PER_WORKER = 8


class ClusterRecord:
    """The record of a run in its output folder.

    Args:
        output: the folder.
        settings: by what the user calls them, what the results depend on, as JSON.
    """

    def __init__(self, output: OutputFolder, settings: dict[str, Any]):
        self._output = output
        self._settings = settings
        self._num_images = 0
        self._part_size: int | None = None  # of a run that goes on

    @property
    def list_file(self) -> str:
        """The list of the images, as it is told."""
        return f"{self._output}/{LIST_FILE}"

    def list_images(
        self, inputs: Sequence[str], resume: bool, pass_over: Callable[[str], None]
    ) -> int:
        """List the images of a run that starts, or see that they are those of the one to resume.

        Args:
            inputs, pass_over: see :func:`~df2s2_d2.inference.ray_data.image_list.find_images`.
            resume: whether an earlier run goes on, if there is one.

        Returns:
            How many there are.

        Raises:
            OSError, ValueError: if an input holds none, or what is in the output folder is of
                another run.
        """
        earlier = self._read()
        holds_results = any(self._output.holds(name) for name in FORMATS)
        if not resume and (earlier or holds_results):
            raise FileExistsError(
                f"{self._output} holds the results of a run: go on with it by --resume, choose "
                "another --output, or remove it"
            )
        if holds_results and not earlier:  # Nobody knows by what they were found.
            raise FileExistsError(
                f"{self._output} holds the results of a run, but not its {_FILE}: choose another "
                "--output, or remove it"
            )
        if resume and not earlier:
            print(f"{self._output}/{_FILE} does not exist: nothing to resume, the run starts anew")
        paths = find_images(inputs, self._output, pass_over)
        images = listed_images(paths) if earlier else write_list(paths, self._output)
        self._num_images = images.count
        self._settings = {
            "number of inputs": images.count,
            "list of inputs": f"sha256:{images.digest}",
            **self._settings,
        }
        if earlier:
            self._part_size = earlier["part_size"]
            changes = settings_changes(earlier["settings"], self._settings)
            if changes:
                raise ValueError(
                    f"{self._output} is of a run with other inputs or options "
                    f"({'; '.join(changes)}): resume it with the same, or choose another --output"
                )
        return images.count

    def begin(self, num_workers: int) -> int:
        """Write the record of a run that starts, before its results.

        Args:
            num_workers: that share the images.

        Returns:
            Images of a part, as many as when the run was begun.
        """
        if self._part_size is None:
            wanted = self._num_images / (_PARTS_PER_WORKER * num_workers)
            self._part_size = next((size for size in _PART_SIZES if size <= wanted), 1)
            record = {
                "version": _VERSION,
                "settings": self._settings,
                "part_size": self._part_size,
            }
            self._output.write(_FILE, json.dumps(record, indent=1).encode())
        return self._part_size

    def _read(self) -> dict[str, Any] | None:
        content = self._output.read(_FILE)
        if content is None:
            return None
        try:
            record = json.loads(content)
        except ValueError:
            record = content.decode(errors="replace")
        fields = record if isinstance(record, dict) else {}
        if not (
            fields.get("version") == _VERSION
            and isinstance(fields.get("settings"), dict)
            and fields.get("part_size") in _PART_SIZES
        ):
            raise ValueError(
                f"{self._output}/{_FILE} is no record of a run over a cluster (found "
                f"{shorten(record)}): choose another --output, or remove that folder"
            )
        return fields
