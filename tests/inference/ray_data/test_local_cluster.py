"""The command on a real cluster of two workers, one of which is killed on the way."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.inference.ray_data.conftest import OVERRIDES
from tests.inference.ray_data.test_find_faces import check_rows

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 300  # seconds

Result = TypeVar("Result")


def wait_for(event: Callable[[], Result]) -> Result:
    """What an event gives once it gives anything."""
    deadline = time.monotonic() + PATIENCE
    while not (result := event()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return result


def open_for_writing(pipe: Path) -> int | None:
    """A named pipe, once somebody is reading it."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        assert error.errno == errno.ENXIO
        return None


def processes_with(is_wanted: Callable[[Path], bool]) -> list[int]:
    """Ids of the processes for whose folder in /proc something holds."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if is_wanted(folder):
                found.append(int(folder.name))
    return found


def reads(pipe: Path) -> Callable[[Path], bool]:
    """Whether a process, but not this one, has a file open."""
    return lambda folder: (
        int(folder.name) != os.getpid()
        and any(os.readlink(link) == str(pipe) for link in (folder / "fd").iterdir())
    )


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """For Ray's own files; the paths of its sockets have to be short."""
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def test_a_killed_worker_and_a_broken_image_change_no_other_result(
    checkpoint, pictures, expected_rows, tmp_path, ray_folder
):
    pipe = tmp_path / "5.png"
    os.mkfifo(pipe)
    names = sorted(path.name for path in pictures.iterdir())
    paths = [str(pipe) if name == pipe.name else str(pictures / name) for name in names]
    pq.write_table(pa.table({"path": paths}), tmp_path / "list.parquet")
    command = [sys.executable, "-m", "df2s2_d2", "detect", "list.parquet", "--ray", "local"]
    command += ["--ray-workers", "2", "--weights", checkpoint, "--output", "found"]
    command += ["--write-threshold", "0.3", "--opts", *map(str, OVERRIDES)]
    environment = {
        **os.environ,
        "PYTHONPATH": _python_path(),
        "RAY_TMPDIR": str(ray_folder),
        "RAY_worker_niceness": "0",  # else they wait for whatever else the machine does
    }
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        # Who reads the pipe is at work on the image in it, which ends only with what is written.
        descriptor = wait_for(lambda: open_for_writing(pipe) or process.poll() is not None)
        (killed,) = wait_for(lambda: processes_with(reads(pipe)))
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: set(processes_with(reads(pipe))) - {killed})
        os.set_blocking(descriptor, True)
        with open(descriptor, "wb") as writer:
            writer.write((pictures / pipe.name).read_bytes())
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1, err  # for the text that is named like an image
    assert "7 of 7 images: " in out and "1 failures" in out
    assert "text.jpg cannot be read (it is in no format that Pillow knows)" in err
    table = pq.read_table(tmp_path / "found/parquet")
    assert table["file"].to_pylist() == paths
    assert [error is None for error in table["error"].to_pylist()] == [True] * 6 + [False]
    check_rows(table, "file", expected_rows)
    # Nothing of the cluster is left behind.
    mark = f"RAY_TMPDIR={ray_folder}".encode()
    wait_for(lambda: not processes_with(lambda folder: mark in (folder / "environ").read_bytes()))


def _python_path() -> str:
    return os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")]))
