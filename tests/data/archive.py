"""A Zenodo record on this machine whose server can misbehave."""

import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

CONTENT = np.random.default_rng(0).bytes(300_000)


class Archive:
    """One file's bytes, how they are sent, and what was asked for.

    Attributes
    ----------
    breaks : list of int or None
        For each download: after how many bytes the line is cut; None sends all.
    """

    def __init__(self):
        self.content = CONTENT
        self.size = len(CONTENT)
        self.checksum = "md5:" + hashlib.md5(CONTENT).hexdigest()
        self.name = "responses_main.csv"
        self.breaks = []
        self.statuses = []
        self.sent = []
        self.ignores_range = False
        self.shifts_range = 0
        self.claimed_length = None
        self.record = None
        self.ranges = []
        self.url = ""

    @property
    def record_url(self):
        return f"{self.url}/api/records/1"

    def record_text(self):
        if self.record is not None:
            return self.record
        entry = {
            "key": self.name,
            "size": self.size,
            "checksum": self.checksum,
            "links": {"self": f"{self.url}/files/{self.name}/content"},
        }
        return json.dumps({"id": 1, "files": [entry]})


class _Handler(BaseHTTPRequestHandler):
    archive: Archive

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        if self.archive.statuses and (status := self.archive.statuses.pop(0)) != 200:
            self.send_error(status)
        elif self.path.startswith("/api/records/"):
            self._send(200, self.archive.record_text().encode())
        elif self.path.startswith("/files/"):
            self._send_file()
        else:
            self.send_error(404)

    def _send_file(self):
        own = self.archive
        asked = self.headers.get("Range")
        own.ranges.append(asked)
        content = own.sent.pop(0) if own.sent else own.content
        if asked is None or own.ignores_range:
            self._send(200, content, cut=True)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
        if start >= len(content):
            self.send_error(416)
            return
        start += own.shifts_range
        self._send(
            206,
            content[start:],
            {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"},
            cut=True,
        )

    def _send(self, status, body, headers=None, *, cut=False):
        own = self.archive
        after = own.breaks.pop(0) if cut and own.breaks else None
        claimed = own.claimed_length if cut else None
        self.send_response(status)
        self.send_header("Content-Length", str(claimed or len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if after is None else body[:after])
        self.close_connection = True


@contextmanager
def running_archive():
    """Serve an :class:`Archive` on a free port of this machine."""
    archive = Archive()
    handler = type("Handler", (_Handler,), {"archive": archive})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    archive.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield archive
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
