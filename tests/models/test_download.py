"""Fetching models, from a server on this machine."""

from __future__ import annotations

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from df2s2_d2.models import ModelEntry, ModelFile
from df2s2_d2.models.download import download

CONTENT = b"weights" * 1000


class Handler(SimpleHTTPRequestHandler):
    requests: list[str] = []

    def log_message(self, *arguments):
        self.requests.append(self.path)


@pytest.fixture
def address(tmp_path, monkeypatch):
    """Of a folder that is served, with one model in it."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "own.safetensors").write_bytes(CONTENT)
    Handler.requests = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def model(location: str, content: bytes = CONTENT) -> ModelEntry:
    file = ModelFile(location, hashlib.sha256(content).hexdigest(), len(content))
    return ModelEntry("own", "", "", {"weights": file}, "", "", {})


def test_a_model_is_fetched_once(address):
    for _ in range(2):
        path = download(model(f"{address}/own.safetensors"), progress=False)["weights"]
        assert path.read_bytes() == CONTENT
    assert Handler.requests == ["/own.safetensors"]


def test_another_file_than_that_of_the_index_is_not_kept(address):
    wanted = model(f"{address}/own.safetensors", b"other")
    with pytest.raises(ValueError, match="own.safetensors is not the file that the index names"):
        download(wanted, progress=False)
    assert not list(wanted.files["weights"].path.parent.iterdir())


def test_an_absent_file_is_named(address):
    with pytest.raises(OSError, match="/absent.safetensors could not be fetched: .*404"):
        download(model(f"{address}/absent.safetensors"), progress=False)


def test_files_of_the_package_are_not_fetched(tmp_path):
    path = tmp_path / "own.safetensors"
    path.write_bytes(CONTENT)
    assert download(model(str(path)), progress=False) == {"weights": path}


def test_a_file_that_was_changed_since_is_fetched_anew(address):
    wanted = model(f"{address}/own.safetensors")
    path = download(wanted, progress=False)["weights"]
    path.write_bytes(b"junk")
    download(wanted, progress=False)
    assert path.read_bytes() == CONTENT and len(Handler.requests) == 2


def test_files_of_the_package_are_checked(tmp_path):
    path = tmp_path / "own.safetensors"
    with pytest.raises(FileNotFoundError, match="own.safetensors"):
        download(model(str(path)), progress=False)
    path.write_bytes(CONTENT + b"0")
    with pytest.raises(ValueError, match="own.safetensors is not the file that the index names"):
        download(model(str(path)), progress=False)
