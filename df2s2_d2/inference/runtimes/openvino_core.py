"""The one ``Core`` of OpenVINO that this process has."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import openvino

_lock = threading.Lock()
_core: openvino.Core | None = None


def openvino_core() -> openvino.Core:
    """What reads and compiles models; the same for all of them, until the process ends.

    With the first model that it compiles, a Core gives the thread another stack for signals, which
    it frees at its own end. If there had been a second Core meanwhile, or the last reference had
    been another thread's, the thread would go on to use the freed stack: the next signal that
    Python has a handler for, such as that of Ctrl-C, would be a segmentation fault.

    Raises:
        ModuleNotFoundError: if OpenVINO is not installed.
    """
    global _core
    import openvino

    with _lock:
        if _core is None:
            _core = openvino.Core()
        return _core
