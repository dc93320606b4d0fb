#!/usr/bin/env python3
"""The service under one and many clients, beside a Predictor that is called one image at a time.

    python -m benchmarks.serving docs/photographs/astronaut.jpg --output output/serving.json

Server and clients run in this process, so that on few cores they share these. A detector that
finds nothing at once shows what the service itself takes.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from benchmarks.common import choose_device, report
from benchmarks.make_table import to_markdown
from df2s2_d2.inference.faces import Faces
from df2s2_d2.inference.predictor import Predictor
from df2s2_d2.serving.app import create_app
from df2s2_d2.serving.limits import Limits
from df2s2_d2.serving.server import listen
from df2s2_d2.serving.service import Model

_BOUNDARY = "boundary-of-a-form"
Find = Callable[[list[np.ndarray]], list[Faces]]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", type=Path, help="photograph that every client sends")
    parser.add_argument("--model", default="faces-small", help="default: %(default)s")
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 50])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--images", type=int, default=100, help="of a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="that take turns (%(default)s)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the JSON")
    args = parser.parse_args(arguments)
    device = choose_device(args.device)
    print(to_markdown(report("serving", args, device, measure(args, str(device)))))


def measure(args: argparse.Namespace, device: str) -> list[dict[str, Any]]:
    """Time all settings in turns.

    Returns:
        A row for the Predictor alone, for each setting of the service, and for one whose detector
        takes no time.
    """
    data = args.image.read_bytes()
    overrides = ["MODEL.DEVICE", device]
    predictor = Predictor(
        args.model, overrides=overrides, batch_size=max(args.batch_sizes), image_format="RGB"
    )

    def find_nothing(images: list[np.ndarray]) -> list[Faces]:
        return [Faces([], [], image.shape[:2]) for image in images]

    predictor.find(data)
    settings = [("service", size, clients) for size in args.batch_sizes for clients in args.clients]
    settings = [("Predictor", 1, 0), *settings, ("service that finds nothing", 1, 1)]
    rows = [
        {"what": what, "batch_size": size, "clients": clients, "seconds": [], "latencies": []}
        for what, size, clients in settings
    ]
    for _ in range(args.rounds):
        for row in rows:
            if row["clients"] == 0:
                elapsed, latencies = _time(lambda: predictor.find(data), args.images, 1)
            else:
                find = predictor.find if row["what"] == "service" else find_nothing
                with _client_of(find, row["batch_size"], data) as ask:
                    elapsed, latencies = _time(ask, args.images, row["clients"])
            row["seconds"].append(elapsed)
            row["latencies"] += latencies
    return [_summary(row, args.images) for row in rows]


@contextlib.contextmanager
def _client_of(find: Find, batch_size: int, data: bytes) -> Iterator[Callable[[], None]]:
    """A service, and a function that sends it an image over the connection of the thread."""
    limits = Limits(requests_per_minute=0, images_at_once=1000)
    app = create_app(Model("benchmark", find, 0.01, batch_size), limits)
    connections = threading.local()
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    body = head.encode() + data + f"\r\n--{_BOUNDARY}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        host, port = listener.getsockname()

        def ask() -> None:
            if not hasattr(connections, "own"):
                connections.own = http.client.HTTPConnection(host, port)
            connections.own.request("POST", "/v1/faces", body, headers)
            answer = connections.own.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"the service answers with {answer.status}")

        try:
            ask()
            yield ask
        finally:
            server.should_exit = True
            thread.join()


def _time(ask: Callable[[], object], times: int, workers: int) -> tuple[float, list[float]]:
    """Seconds of all calls together, made by so many workers, and of each."""

    def timed(_: int) -> float:
        started = time.perf_counter()
        ask()
        return time.perf_counter() - started

    started = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        latencies = list(pool.map(timed, range(times)))
    return time.perf_counter() - started, latencies


def _summary(row: dict[str, Any], num_images: int) -> dict[str, Any]:
    latencies = sorted(row["latencies"])
    return {
        "what": row["what"],
        "batch_size": row["batch_size"],
        "clients": row["clients"],
        "images_per_second": num_images / statistics.median(row["seconds"]),
        "median_ms": 1000 * statistics.median(latencies),
        "ms_of_95_percent": 1000 * latencies[int(0.95 * (len(latencies) - 1))],
    }


if __name__ == "__main__":
    main()
