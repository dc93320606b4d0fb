"""A headless Chromium that a test drives by the browser's own protocol, over a pair of pipes."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pages.browsers import BROWSERS

_SECONDS = 240


class Tab:
    """A tab of a browser.

    Attributes:
        complaints: of the page's console: errors, and what its security policy has stopped.
    """

    def __init__(self, commands: int, answers: int, kill: Callable[[], None]):
        """
        Args:
            commands, answers: file descriptors of the pipes.
            kill: ends the browser.
        """
        self._kill = kill
        self._commands = os.fdopen(commands, "wb", buffering=0)
        self._answers = os.fdopen(answers, "rb")
        self._numbers = itertools.count(1)
        self._session: dict[str, str] = {}
        self.complaints: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the DevTools protocol, and what it gives."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters, **self._session}
        self._commands.write(json.dumps(message).encode() + b"\0")
        # What never comes true ends the test, not the patience of whoever runs it.
        watch = threading.Timer(_SECONDS, self._kill)
        watch.start()
        try:
            while (answer := self._read()).get("id") != number:
                pass
        finally:
            watch.cancel()
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def open(self, address: str) -> None:
        """Go to a page, and wait until its scripts have run."""
        self.send("Page.navigate", url=address)
        self.evaluate("document.readyState === 'complete'", until=True)

    def evaluate(self, expression: str, *, until: bool = False) -> Any:
        """The value of an expression of JavaScript, awaited; or waited for until it is true."""
        if until:
            expression = f"""new Promise((done) => {{
              const look = () => {{ const value = {expression};
                value ? done(value) : setTimeout(look, 20); }};
              look(); }})"""
        answer = self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def choose_files(self, selector: str, *paths: Path) -> None:
        """Choose files as a user does in the dialog of an input."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def resize(self, width: int, height: int) -> None:
        """Give the page the size of a screen."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def screenshot(self) -> bytes:
        """All of the page's height as a PNG."""
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def close(self) -> None:
        self._commands.close()
        self._answers.close()

    def _read(self) -> dict[str, Any]:
        data = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "the browser has ended"
            data += byte
        message = json.loads(data)
        parameters = message.get("params", {})
        if message.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.complaints.append(parameters["entry"]["text"])
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(parameters["exceptionDetails"]))
        return message


@contextlib.contextmanager
def open_tab(profile: Path) -> Iterator[Tab]:
    """A tab of a browser of its own; skips the test without one.

    Args:
        profile: a folder for what the browser keeps.
    """
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no headless browser: none of {', '.join(BROWSERS)} is on the PATH")
    commands_in, commands = os.pipe()
    answers, answers_out = os.pipe()

    def put_in_place() -> None:
        """The browser reads at 3 and writes at 4."""
        ends = [os.dup(end) for end in (commands_in, answers_out)]
        for place, end in enumerate(ends, start=3):
            os.dup2(end, place)

    process = subprocess.Popen(
        [
            program,
            *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run"),
            *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
        ],
        preexec_fn=put_in_place,
        close_fds=False,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands_in)
    os.close(answers_out)
    tab = None
    try:
        tab = Tab(commands, answers, process.kill)
        yield tab
    finally:
        if tab is not None:
            tab.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_SECONDS)
