"""What ends a run before its time and its user can mend: told in one sentence."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from df2s2_d2.data.errors import AnnotationError, ImageError
from df2s2_d2.training.distribution import IdleParametersError
from df2s2_d2.training.durable_files import SavingError

_MENDABLE = (
    FloatingPointError,
    SavingError,
    ImageError,
    AnnotationError,
    IdleParametersError,
)


@contextmanager
def one_sentence_endings(program: str) -> Iterator[None]:
    """Let a training end with a sentence in its log and on the screen, where it has no bug.

    In this process alone: the others of a distributed run are ended by their launcher.

    Args:
        program: stands before the sentence.

    Raises:
        SystemExit: in place of a full disk, of losses or weights that are not finite, of an image
            that cannot be read, or of a model that several processes cannot train.
    """
    # detectron2 writes the traceback of whatever ends a training into the log.
    log = logging.getLogger("detectron2.engine.train_loop")
    log.addFilter(_leave_out_traceback)
    try:
        yield
    except _MENDABLE as error:
        sys.exit(f"{program}: {_sentence(error)}")
    finally:
        log.removeFilter(_leave_out_traceback)


def _leave_out_traceback(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, _MENDABLE):
        record.msg, record.args = f"{record.getMessage()} {_sentence(error)}", ()
        record.exc_info = None
    return True


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())
