"""What a worker that died was doing, so that an image which ends workers is found and left out.

Ray starts another worker for one that died, and gives it the same part again. A file says before
each part that it is being tried; where there is one already, a worker died, and the images are
looked at one by one, each noted in the file first.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter

from df2s2_d2.inference.ray_data.output_folder import OutputFolder

FOLDER = "trying"
# Workers may also die of something else at any image, but hardly at the same one again.
_DEATHS_OF_AN_IMAGE = 2
_DEATHS_BEFORE_IMAGES = 4
# Stands for an image before the images are looked at one by one.
_BEFORE = -1


class PartAttempts:
    """The attempts at a part, of which this is the latest.

    Args:
        output: folder of the run.
        part: number of the part.

    Attributes:
        is_first: whether no worker died of the part so far.

    Raises:
        RuntimeError: if one worker after the other died before it looked at an image.
    """

    def __init__(self, output: OutputFolder, part: int):
        self._output = output
        self._name = f"{FOLDER}/part-{part:06d}.json"
        content = output.read(self._name)
        self.is_first = content is None
        self._deaths: Counter[int] = Counter()
        with contextlib.suppress(ValueError, AttributeError, TypeError):
            # What is damaged was written as a worker died, and says no more than that.
            for image, deaths in json.loads(content or b"{}").items():
                self._deaths[int(image)] = int(deaths)
        if self._deaths[_BEFORE] >= _DEATHS_BEFORE_IMAGES:
            del self._deaths[_BEFORE]  # Another run may have room.
            self._write(self._deaths)
            raise RuntimeError(
                f"{_DEATHS_BEFORE_IMAGES} workers died one after the other before they looked at "
                "an image, most often by want of memory: give fewer --ray-workers"
            )
        self.note(_BEFORE)

    def has_killed(self, image: int) -> bool:
        """Whether workers died while they looked at an image, so that it is to be left out."""
        return self._deaths[image] >= _DEATHS_OF_AN_IMAGE

    def note(self, image: int) -> None:
        """Say that an image is looked at next, by its place in the part."""
        self._write(self._deaths + Counter([image]))

    def _write(self, deaths: Counter[int]) -> None:
        content = {str(image): number for image, number in deaths.items()}
        self._output.write(self._name, json.dumps(content).encode())
