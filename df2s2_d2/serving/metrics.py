"""What a service counts of itself, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
_IMAGES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counts of one service, whatever else the process counts.

    Args:
        num_waiting: gives the number of images that no batch has taken yet.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, num_waiting: Callable[[], int]):
        self._registry = CollectorRegistry()
        by_path = {"labelnames": ("path",), "registry": self._registry}
        self.requests = Counter(
            "df2s2_requests",
            "Requests that were answered",
            ("path", "status"),
            registry=self._registry,
        )
        self.in_progress = Gauge(
            "df2s2_requests_in_progress", "Requests that are being answered", **by_path
        )
        self.request_seconds = Histogram(
            "df2s2_request_seconds", "From head to last byte", buckets=_SECONDS, **by_path
        )
        self.faces = Counter("df2s2_faces", "Faces that were told", registry=self._registry)
        self.batch_images = Histogram(
            "df2s2_batch_images",
            "Images that were looked at together",
            buckets=_IMAGES,
            registry=self._registry,
        )
        self.batch_seconds = Histogram(
            "df2s2_batch_seconds", "Of the detector", buckets=_SECONDS, registry=self._registry
        )
        waiting = Gauge(
            "df2s2_waiting_images", "Images that no batch has taken", registry=self._registry
        )
        waiting.set_function(num_waiting)

    def count_batch(self, num_images: int, seconds: float) -> None:
        """Count a batch of the detector."""
        self.batch_images.observe(num_images)
        self.batch_seconds.observe(seconds)

    def text(self) -> bytes:
        """All counts in Prometheus's format of text."""
        return generate_latest(self._registry)


class Measured:
    """ASGI middleware that counts requests.

    Args:
        app: answers them.
        metrics: of the service.
        paths: that are counted by themselves; all others are "other", however many there are.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, paths: Collection[str]):
        self._app = app
        self._metrics = metrics
        self._paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        path = scope["path"] if scope["path"] in self._paths else "other"
        status = 500  # of what ends without an answer

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        in_progress = self._metrics.in_progress.labels(path)
        in_progress.inc()
        try:
            await self._app(scope, receive, send_counted)
        finally:
            in_progress.dec()
            self._metrics.requests.labels(path, status).inc()
            self._metrics.request_seconds.labels(path).observe(time.perf_counter() - started)
