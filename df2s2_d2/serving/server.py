"""The service on an address."""

from __future__ import annotations

import logging
import socket

import uvicorn

from df2s2_d2.inference.detector_options import DEFAULT_MODEL, DetectorOptions
from df2s2_d2.inference.media.face_search import build_predictor, detector_config
from df2s2_d2.inference.media.result_options import SCORE_THRESHOLD
from df2s2_d2.serving.app import create_app
from df2s2_d2.serving.server_options import ServerOptions
from df2s2_d2.serving.service import Model

# Requests that are being answered when the server is told to end have so long.
SECONDS_TO_END = 30


def load_model(options: DetectorOptions) -> Model:
    """A detector as a service runs it.

    Raises:
        OSError, ValueError: if the config or the weights are missing or wrong.
    """
    predictor = build_predictor(detector_config(options, SCORE_THRESHOLD), options)
    return Model(
        name=options.weights or options.config_file or DEFAULT_MODEL,
        find=predictor.find,
        lowest_score=SCORE_THRESHOLD,
        batch_size=options.batch_size,
    )


def listen(host: str, port: int) -> socket.socket:
    """Take an address, so that nobody waits for a model that cannot be asked.

    Args:
        host: name or address of this machine; IPv4 or IPv6.
        port: 0 for any that is free.

    Raises:
        OSError: if that is not possible; names the address.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise OSError(
            f"{host}, port {port}, cannot be listened on ({error.strerror}): choose another --port "
            "or --host"
        ) from error


def serve(detector: DetectorOptions, options: ServerOptions) -> None:
    """Answer requests until the process is told to end.

    Args:
        detector: says which detector looks for faces.
        options: say where to listen, and what is taken.

    Raises:
        OSError, ValueError: if the address, the config or the weights are wrong.
    """
    # What is wrong with a form is told to whoever sent it, and is no line for each in the log.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    with listen(options.host, options.port) as listener:
        app = create_app(load_model(detector), options.limits)
        config = uvicorn.Config(
            app,
            log_level="info" if options.logs_requests else "warning",
            access_log=options.logs_requests,
            server_header=False,
            timeout_graceful_shutdown=SECONDS_TO_END,
        )
        print(f"The page is at {address_of(listener)} (Ctrl-C ends it)", flush=True)
        uvicorn.Server(config).run(sockets=[listener])


def address_of(listener: socket.socket) -> str:
    """What is typed into a browser of this machine."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # all addresses of this machine
        host = "localhost"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
