"""gunicorn, started from Python."""

import gc
import socket
import sys
from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

from data.errors import ExperimentError


def listening_socket(host: str, port: int) -> socket.socket:
    """Take the address before anything else starts.

    Raises
    ------
    ExperimentError
        The port is in use, or the address is not this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        raise ExperimentError(
            f"The address {host}:{port} can't be used ({error.strerror or error})."
            " Give another --port, or --port 0 for any free one."
        ) from error
    return listener


WORKERS = 2
"""Processes to serve with; each takes about a core when it is full."""

THREADS = 8
"""Of each process; more than the cores can use, since who has a slow line holds one
while it is sent to."""


SWITCH_S = 0.0005
"""How long a thread may keep the others of its process waiting. Python's own 5 ms come
with every reply of the database, while another thread is busy with an image."""


class WebServer(BaseApplication):  # type: ignore[misc]
    """Serves the application that ``build`` makes, once in every worker.

    Parameters
    ----------
    on_ready : callable
        Called in the main process when connections are accepted.
    """

    def __init__(
        self,
        build: Callable[[], Flask],
        listener: socket.socket,
        *,
        workers: int,
        threads: int,
        access_log: bool,
        on_ready: Callable[[], None],
    ) -> None:
        self._build = build
        self._options: dict[str, Any] = {
            # gunicorn takes over the descriptor and closes it.
            "bind": f"fd://{listener.detach()}",
            "workers": workers,
            "threads": threads,
            "worker_class": "gthread",
            # Browsers keep their connections; an idle one takes no thread.
            "keepalive": 30,
            "worker_connections": 10_000,
            "graceful_timeout": 20,
            "accesslog": "-" if access_log else None,
            "loglevel": "warning",
            "control_socket_disable": True,
            "when_ready": lambda server: on_ready(),
        }
        super().__init__()

    def load_config(self) -> None:
        """Hand the options to gunicorn."""
        for name, value in self._options.items():
            # Older versions have no control socket to switch off.
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """Build the application; each worker calls this."""
        sys.setswitchinterval(SWITCH_S)
        app = self._build()
        # What is there by now stays; to look through it again and again for garbage
        # would stop all requests for a tenth of a second each time.
        gc.collect()
        gc.freeze()
        return app
