from __future__ import annotations

import subprocess
import sys

import pytest

from df2s2_d2.inference.runtimes.openvino_core import openvino_core

pytest.importorskip("openvino")

PROGRAM = """
import gc, os, signal
from df2s2_d2.inference.runtimes import open_engine
from df2s2_d2.models import local_file

path = local_file("faces-small", "onnx")
engines = [open_engine("openvino", path) for _ in range(2)]
while engines:
    engines.pop(0)
    gc.collect()
signal.signal(signal.SIGINT, lambda *_: print("interrupted"))
os.kill(os.getpid(), signal.SIGINT)
"""


def test_signals_arrive_after_engines_are_gone():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


def test_there_is_one():
    assert openvino_core() is openvino_core()
