"""Checkpoints of a run: whole, finite and free of code, and the newest of them that can be read."""

from __future__ import annotations

import io
import logging
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from fvcore.common.checkpoint import Checkpointer
from torch import Tensor, nn

from df2s2_d2.inference.trained_weights import (
    WeightDifferences,
    load_matching,
    read_checkpoint,
    weights_in,
)
from df2s2_d2.training.durable_files import remove_partial_files, write_durably

logger = logging.getLogger(__name__)

# The file that names the newest checkpoint of a folder.
_TAG = "last_checkpoint"

_PERIODIC = re.compile(r"model_(\d{7,})\.pth")
_CHECKPOINT = re.compile(r"model_(\d{7,}|best|final)\.pth")


class RunCheckpointer(Checkpointer):
    """fvcore's Checkpointer for runs that may be killed at any time, and for files of strangers."""

    def save(self, name: str, **extra: Any) -> None:
        """Save the model and all checkpointables, and make that the last checkpoint.

        Args:
            name: of the file, without ``.pth``; what lies there is replaced when all is written.
            extra: plain values and tensors to be saved beside them.

        Raises:
            FloatingPointError: if a tensor is not finite; the last checkpoint stays what it was.
            SavingError: if the file cannot be written; so does it then.
        """
        if not (self.save_dir and self.save_to_disk):
            return
        content = {"model": self.model.state_dict()}
        content |= {key: part.state_dict() for key, part in self.checkpointables.items()}
        content |= extra
        path = os.path.join(self.save_dir, f"{name}.pth")
        _check_finite(content, path)
        logger.info(f"Saving checkpoint to {path}")
        # In memory first: torch's own writer turns a full disk into an error of its internals.
        file = io.BytesIO()
        torch.save(content, file)
        write_durably(path, file.getbuffer())
        self.tag_last_checkpoint(f"{name}.pth")

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        path = os.path.join(self.save_dir, _TAG)
        write_durably(path, last_filename_basename.encode())

    def keep_newest(self, count: int, iteration: int) -> None:
        """Delete older periodic checkpoints, but never the last checkpoint.

        Args:
            count: how many are kept; 0 = all.
            iteration: files of later iterations, which other runs left, are not touched.
        """
        if not (count and self.save_dir and self.save_to_disk):
            return
        numbered = {
            int(match[1]): path
            for path in Path(self.save_dir).glob("model_*.pth")
            if (match := _PERIODIC.fullmatch(path.name)) and int(match[1]) <= iteration
        }
        for number in sorted(numbered)[:-count]:
            if numbered[number].name != _tagged(self.save_dir):
                numbered[number].unlink(missing_ok=True)

    def clean_up(self) -> None:
        """Remove what a run left that was killed while it saved."""
        if self.save_dir and self.save_to_disk:
            remove_partial_files(self.save_dir)

    def has_last_checkpoint(self) -> bool:
        """Whether a checkpoint was saved here, whatever became of it."""
        return bool(_tagged(self.save_dir))

    def has_checkpoint(self) -> bool:
        return bool(self.get_checkpoint_file())

    def get_checkpoint_file(self) -> str:
        """The newest checkpoint that a run can go on from, as :func:`newest_checkpoint` finds it.

        Returns:
            Its path, "" if there is none.
        """
        return newest_checkpoint(self.save_dir)

    def load(self, path: str, checkpointables: list[str] | None = None) -> dict[str, Any]:
        """Load a checkpoint to go on from, or with ``checkpointables=[]`` weights to start from.

        Args:
            path: "" = load nothing.
            checkpointables: names of what is loaded beside the model; None for all, and then the
                weights must be those of the model to the last tensor.

        Returns:
            What the checkpoint holds beside the model and the checkpointables.

        Raises:
            OSError, ValueError: naming the file and what is wrong with it.
        """
        if not path:
            return {}
        if checkpointables == []:
            logger.info(load_matching(self.model, path))
            return {}
        # Not mapped: an optimizer may keep the tensors that it is given.
        checkpoint = read_checkpoint(path, mapped=False)
        check_fit(self.model, weights_in(checkpoint, path), path)
        self.model.load_state_dict(checkpoint.pop("model"))
        for key in self.checkpointables if checkpointables is None else checkpointables:
            if key in checkpoint:
                self.checkpointables[key].load_state_dict(checkpoint.pop(key))
        return checkpoint


def check_fit(model: nn.Module, weights: dict[str, Tensor], path: str) -> None:
    """Check that a run can go on with this model.

    Raises:
        ValueError: if the weights of the checkpoint ``path`` are those of another one.
    """
    differences = WeightDifferences.between(weights, model)
    if differences:
        raise ValueError(
            f"{path} is a checkpoint of another detector than the config describes "
            f"({differences}): resume with the config that it was trained by, or name another "
            "OUTPUT_DIR"
        )


def newest_checkpoint(folder: str) -> str:
    """The checkpoint in a folder that a run goes on from; warns if it is not the last one saved.

    Returns:
        A path, "" if the folder holds none.

    Raises:
        ValueError: if there are checkpoints, but not one of them can be read.
    """
    tagged = _tagged(folder)
    faults = [] if tagged else [f"{os.path.join(folder, _TAG)} names no checkpoint"]
    for path in _newest_first(folder, tagged):
        try:
            _check_whole(path)
        except (OSError, ValueError) as error:
            faults.append(str(error))
            continue
        if faults:
            logger.warning(f"{'; '.join(faults)}: going back to {path}")
        return path
    if tagged or len(faults) > 1:
        raise ValueError(
            f"Not one checkpoint in {folder} can be read ({'; '.join(faults)}): start anew in "
            "another OUTPUT_DIR"
        )
    return ""


def _newest_first(folder: str, tagged: str) -> Iterator[str]:
    """Checkpoints of a folder, the one that last_checkpoint names before all others."""
    if tagged:
        yield os.path.join(folder, tagged)
    others = [
        str(path)
        for path in Path(folder).glob("model_*.pth")
        if path.name != tagged and _CHECKPOINT.fullmatch(path.name)
    ]
    # What has a later number than the last checkpoint is of a run that was given up.
    match = _PERIODIC.fullmatch(tagged)
    latest = int(match[1]) if match else float("inf")
    iterations = {path: iteration_of(path) for path in others}
    yield from sorted(
        (path for path in others if iterations[path] <= latest), key=iterations.get, reverse=True
    )


def _tagged(folder: str) -> str:
    """The checkpoint beside it that last_checkpoint names, "" if it names none."""
    try:
        name = Path(folder, _TAG).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    # Another path, or a kind of file that runs code when it is read, was not written by a run.
    return name if re.fullmatch(r"[\w.-]+\.pth", name) else ""


def iteration_of(path: str) -> int:
    """The iteration behind which a checkpoint was saved, -1 if it cannot be read."""
    match = _PERIODIC.fullmatch(os.path.basename(path))
    if match:
        return int(match[1])
    try:
        iteration = read_checkpoint(path).get("iteration")
    except (OSError, ValueError):
        return -1
    return iteration if isinstance(iteration, int) else -1


def _check_whole(path: str) -> None:
    """Check that a run can go on from a file, and that every byte of it is as it was written.

    Raises:
        OSError, ValueError: naming the file and what is wrong.
    """
    checkpoint = read_checkpoint(path)
    weights_in(checkpoint, path)
    trainer = checkpoint.get("trainer")
    if not (isinstance(trainer, dict) and isinstance(trainer.get("iteration"), int)):
        raise ValueError(f"{path} has weights only, no state of a run")
    if zipfile.is_zipfile(path):
        # Blocks that never reached the disk leave the archive's table whole.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise ValueError(f"{path} is damaged: {damaged} is not what was written")


def _check_finite(content: dict[str, Any], path: str) -> None:
    """Raise FloatingPointError unless all tensors are finite; the device is waited for once."""
    tensors = {
        name: tensor
        for name, tensor in _tensors(content)
        if tensor.is_floating_point() and tensor.numel()
    }
    norm = torch.nn.utils.get_total_norm(tensors.values(), norm_type=float("inf"))
    if not norm.isfinite():
        first = next(name for name, tensor in tensors.items() if not tensor.isfinite().all())
        raise FloatingPointError(
            f"{path} is not written, as {first} is not finite: go on from the checkpoint before "
            "it with --resume and a lower SOLVER.BASE_LR, or with SOLVER.CLIP_GRADIENTS.ENABLED"
        )


def _tensors(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors in nested dicts and lists, and where they lie."""
    if torch.is_tensor(value):
        yield name, value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _tensors(part, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            yield from _tensors(part, f"{name}.{index}")
