"""When pictures really appear and how well response times hold, in a real Chromium.

Our trial and jsPsych's own plugins show the same pictures in one run. The browser's own
report of each presentation (Element Timing) says when pictures appeared; a recording of
the screen says which of them appeared together; input with a time stamp of its own says
what a response time should have been. Faults that are planted on purpose show that the
instruments notice what they are meant to notice:

    python -m benchmarks.timing [--trials 100] [--out artifacts/timing.json]

Five to seven minutes on two busy cores.
"""

import argparse
import asyncio
import base64
import io
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.async_api import Browser, CDPSession, Page, async_playwright
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from data.files import write_json
from data.images import DISPLAY_SIDE
from data.studies import ATLAS_COLUMNS, cell_position
from experiment_server.browser import launch_options

N_PICTURES = 20
WARM_UP = 5
BUSY_MS = 50
SLOW_MS = 60
WINDOW = {"width": 1280, "height": 720}
BUILT = Path(__file__).parents[1] / "experiment_server" / "client" / "built"
BACKGROUND = np.array([0x74, 0x74, 0x74])

Way = Literal["ours", "stock", "stock_not_preloaded", "stock_one_picture"]
Fault = Literal["none", "two_frames", "late", "slow_frame"]
Floats = NDArray[np.float64]

WAYS: dict[Way, str] = {
    "ours": "our plugin, an atlas fetched and decoded ahead",
    "stock": "html-button-response, 20 images, preload",
    "stock_not_preloaded": "html-button-response, 20 images, no preload",
    "stock_one_picture": "image-button-response, one image, preload",
}

HTML = b"""<!doctype html><html lang="en"><head><meta charset="utf-8">
<title>Timing</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/timing.css">
<style>
html, body { margin: 0; height: 100%; background: #747474; }
.pictures { width: 1120px; line-height: 0; }
</style>
<script src="/timing.js"></script></head><body></body></html>"""


@dataclass
class Run:
    """What one way of showing pictures gave, trial by trial, in ms.

    Attributes
    ----------
    lag : list of float
        From the moment that response times count from to the last picture.
    spread : list of float
        From the first picture to the last one.
    error : list of float
        Response time as stored, less that from the last picture to the planted input.
    together : list of bool
        Whether no frame of the recorded screen showed some of the pictures only, and
        the browser reported one time for all.
    """

    lag: list[float] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    together: list[bool] = field(default_factory=list)


class Pictures:
    """Seeded textures as JPEG files: 20 a trial, and the same ones on an atlas."""

    def __init__(self, seed: int, n_trials: int) -> None:
        self.files: dict[str, bytes] = {}
        for trial in range(n_trials):
            rng = np.random.default_rng([seed, trial])
            pictures = [_texture(rng) for _ in range(N_PICTURES)]
            for number, picture in enumerate(pictures):
                self.files[f"/picture/{trial}/{number}.jpg"] = _jpeg(picture)
            self.files[f"/atlas/{trial}.jpg"] = _jpeg(_atlas(pictures))


def _texture(rng: np.random.Generator) -> Image.Image:
    """Return noise of several grains in a colour that the background can't hide."""
    colour = rng.permutation([230, 40, int(rng.integers(30, 240))])
    pixels = np.zeros((DISPLAY_SIDE, DISPLAY_SIDE, 3)) + colour
    for side in (7, 28, 112):
        grain = rng.normal(scale=16, size=(side, side, 3))
        pixels += np.kron(grain, np.ones((DISPLAY_SIDE // side,) * 2 + (1,)))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _atlas(pictures: Sequence[Image.Image]) -> Image.Image:
    rows = len(pictures) // ATLAS_COLUMNS
    atlas = Image.new("RGB", (ATLAS_COLUMNS * DISPLAY_SIDE, rows * DISPLAY_SIDE))
    for number, picture in enumerate(pictures):
        atlas.paste(picture, cell_position(number))
    return atlas


def _jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()


@contextmanager
def served(pictures: Pictures) -> Iterator[str]:
    """Serve the page and its pictures on a port of their own."""
    files = pictures.files | {
        "/": HTML,
        "/timing.js": (BUILT / "timing.js").read_bytes(),
        "/timing.css": (BUILT / "timing.css").read_bytes(),
    }
    kinds = {"js": "text/javascript", "css": "text/css", "jpg": "image/jpeg"}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = files.get(self.path)
            self.send_response(200 if body is not None else 404)
            kind = kinds.get(self.path.rpartition(".")[2], "text/html")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body or b"")))
            self.send_header("Cache-Control", "private, max-age=3600")
            # With these a browser gives its finest time stamps.
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Driver:
    """Answers the trials of a page with input that carries a planted time."""

    def __init__(self, page: Page, devtools: CDPSession, seed: int) -> None:
        self.page = page
        self.devtools = devtools
        self.rng = np.random.default_rng(seed)
        self.presented: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.frames: list[bytes] = []

    async def show(
        self,
        way: Way,
        n: int,
        *,
        fault: Fault = "none",
        busy: bool = False,
        recorded: bool = False,
        advance: Any = lambda: None,
    ) -> Run:
        """Show the first ``n`` trials in one way and answer them."""
        run = Run()
        order = {
            "trials": list(range(n)),
            "way": way,
            "fault": fault,
            "cells": [cell_position(cell) for cell in range(N_PICTURES)],
        }
        if recorded:
            await self._record(True)
        shown = asyncio.create_task(self.page.evaluate("window.timeTrials", order))
        planted = []
        for _ in range(n):
            self.frames = []
            told = await asyncio.wait_for(self.presented.get(), 30)
            planted.append(await self._answer(told, busy=busy))
            run.lag.append(told["last_ms"] - told["onset_ms"])
            run.spread.append(told["last_ms"] - told["first_ms"])
            if recorded:
                together = are_together(self.frames, told["pictures"])
                run.together.append(together and run.spread[-1] < 1)
            advance()
        stored = np.array(await asyncio.wait_for(shown, 30), dtype=float)
        run.error = (stored - np.array(planted)).tolist()
        if recorded:
            await self._record(False)
        return run

    async def _answer(self, told: dict[str, Any], *, busy: bool) -> float:
        """Press a button at a planted time; returns it, from the last picture on."""
        least_ms = time.time() * 1000 - told["last_ms"] + 60
        rt_ms = least_ms + float(self.rng.uniform(60, 260))
        at_s = (told["last_ms"] + rt_ms) / 1000
        if busy:
            spin = f"""setTimeout(() => {{ const before = performance.now();
              while (performance.now() - before < {BUSY_MS}); }},
              {at_s * 1000 - 8} - performance.timeOrigin - performance.now())"""
            await self.page.evaluate(spin)
        x, y = told["button"]
        mouse = {"x": x, "y": y, "button": "left", "clickCount": 1}
        await asyncio.sleep(max(0, at_s - time.time()))
        for kind in ("mousePressed", "mouseReleased"):
            event = {"type": kind, "timestamp": at_s, **mouse}
            await self.devtools.send("Input.dispatchMouseEvent", event)
        return rt_ms

    async def _record(self, on: bool) -> None:
        if not on:
            await self.devtools.send("Page.stopScreencast")
            return
        settings = {"format": "jpeg", "quality": 60, "everyNthFrame": 1}
        await self.devtools.send("Page.startScreencast", settings)

    def note_frame(self, event: dict[str, Any]) -> None:
        """Keep a frame of the recorded screen and ask for the next one."""
        self.frames.append(base64.b64decode(event["data"]))
        given = {"sessionId": event["sessionId"]}
        asyncio.ensure_future(  # noqa: RUF006
            self.devtools.send("Page.screencastFrameAck", given)
        )


def are_together(frames: Sequence[bytes], pictures: Sequence[Sequence[float]]) -> bool:
    """Whether some frame shows all pictures and none shows only some of them."""
    counts = [n_visible(frame, pictures) for frame in frames]
    return max(counts, default=0) == len(pictures) and not any(
        0 < count < len(pictures) for count in counts
    )


def n_visible(frame: bytes, pictures: Sequence[Sequence[float]]) -> int:
    """Count the pictures that differ from the background in their middle."""
    with Image.open(io.BytesIO(frame)) as opened:
        pixels = np.asarray(opened.convert("RGB"), dtype=float)
    scale = pixels.shape[1] / WINDOW["width"]
    count = 0
    for x, y in pictures:
        left, top = int(x * scale) - 6, int(y * scale) - 6
        patch = pixels[top : top + 12, left : left + 12]
        count += bool(np.abs(patch.mean(axis=(0, 1)) - BACKGROUND).max() > 25)
    return count


async def new_driver(browser: Browser, address: str, seed: int) -> Driver:
    """Open the page in a window of its own."""
    context = await browser.new_context(viewport=WINDOW)  # type: ignore[arg-type]
    page = await context.new_page()
    driver = Driver(page, await context.new_cdp_session(page), seed)
    await page.expose_function("presented", driver.presented.put)
    driver.devtools.on("Page.screencastFrame", driver.note_frame)
    await page.goto(address)
    return driver


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return median, quartiles, tails and range, in the values' unit."""
    kept: Floats = np.array(values, dtype=float)
    levels = {"median": 50, "p25": 25, "p75": 75, "p5": 5, "p95": 95}
    out = {name: float(np.percentile(kept, level)) for name, level in levels.items()}
    out |= {"least": float(kept.min()), "most": float(kept.max())}
    return {name: round(value, 2) for name, value in out.items()}


def described(timed: Run, busy: Run, recorded: Run, frame_ms: float) -> dict[str, Any]:
    """Return the figures of one way, without the first trials."""
    together = recorded.together[WARM_UP:]
    return {
        "n_trials": len(timed.lag) - WARM_UP,
        "lag_ms": summary(timed.lag[WARM_UP:]),
        "lag_frames": summary([lag / frame_ms for lag in timed.lag[WARM_UP:]]),
        "spread_ms": summary(timed.spread[WARM_UP:]),
        "rt_error_ms": summary(timed.error[WARM_UP:]),
        "rt_error_busy_ms": summary(busy.error[WARM_UP:]),
        "n_recorded": len(together),
        "n_all_in_one_frame": sum(together),
    }


async def measured(n_trials: int, seed: int, address: str) -> dict[str, Any]:
    """Time every way and every planted fault."""
    few = max(WARM_UP + 20, n_trials // 4)
    total = 3 * n_trials + (3 * len(WAYS) - 3) * few + 3 * few
    console = Console(stderr=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(**launch_options())
        with Progress(console=console, transient=True) as progress:
            bar = progress.add_task("trials", total=total)
            found = await _all_ways(
                browser, address, n_trials, few, seed, lambda: progress.advance(bar)
            )
        found["browser"] = f"Chromium {browser.version}"
        await browser.close()
    return found


async def _all_ways(
    browser: Browser, address: str, n_trials: int, few: int, seed: int, advance: Any
) -> dict[str, Any]:
    async def show(way: Way, n: int, **how: Any) -> Run:
        driver = await new_driver(browser, address, seed)
        run = await driver.show(way, n, advance=advance, **how)
        await driver.page.context.close()
        return run

    driver = await new_driver(browser, address, seed)
    frame_ms = float(await driver.page.evaluate(FRAME_MS))
    await driver.page.context.close()
    ways = {}
    for way in WAYS:
        timed = await show(way, n_trials if way in ("ours", "stock") else few)
        busy = await show(way, few, busy=True)
        recorded = await show(way, n_trials if way == "ours" else few, recorded=True)
        ways[way] = {"what": WAYS[way]} | described(timed, busy, recorded, frame_ms)
    split = await show("ours", few, fault="two_frames", recorded=True)
    late = await show("ours", few, fault="late")
    slow = await show("ours", few, fault="slow_frame")
    faults = {
        "two_frames": {
            "planted": "half of the images one frame later",
            "n_trials": few - WARM_UP,
            "n_noticed": sum(not together for together in split.together[WARM_UP:]),
        },
        "late": {
            "planted": "everything four frames late",
            "n_trials": few - WARM_UP,
            "lag_ms": summary(late.lag[WARM_UP:]),
        },
        "slow_frame": {
            "planted": f"{SLOW_MS} ms of work in the frame that shows the images",
            "n_trials": few - WARM_UP,
            "lag_ms": summary(slow.lag[WARM_UP:]),
        },
    }
    return {"frame_ms": round(frame_ms, 3), "ways": ways, "planted_faults": faults}


FRAME_MS = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  const times = [];
  for (let n = 0; n < 61; n += 1) times.push(await frame());
  const steps = times.slice(1).map((one, n) => one - times[n]).sort((a, b) => a - b);
  return steps[30];
}"""


def table(found: dict[str, Any]) -> Table:
    """Return the figures as they are printed."""
    shown = Table(
        "",
        "lag, ms",
        "in frames",
        "first to last, ms",
        "rt error, ms",
        "rt error busy, ms",
        "in one frame",
        title=f"{found['browser']}, a frame each {found['frame_ms']} ms:"
        " median (5 to 95 %)",
    )
    names = ("lag_ms", "lag_frames", "spread_ms", "rt_error_ms", "rt_error_busy_ms")
    for one in found["ways"].values():
        cells = [
            f"{one[name]['median']:.1f} ({one[name]['p5']:.1f} to"
            f" {one[name]['p95']:.1f})"
            for name in names
        ]
        together = f"{one['n_all_in_one_frame']} of {one['n_recorded']}"
        shown.add_row(one["what"], *cells, together)
    return shown


def main(argv: list[str] | None = None) -> int:
    """Print the table and write the figures.

    Exit status: 1 where our images come in more than one frame, their median lag is
    longer than one frame, or a planted fault goes unnoticed.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100, help="of each way")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("artifacts/timing.json"))
    arguments = parser.parse_args(argv)
    n_trials = arguments.trials + WARM_UP
    with served(Pictures(arguments.seed, n_trials)) as address:
        found = asyncio.run(measured(n_trials, arguments.seed, address))
    ours = found["ways"]["ours"]
    split, late, slow = found["planted_faults"].values()
    found["passed"] = {
        "all_images_in_one_frame": ours["n_all_in_one_frame"] == ours["n_recorded"],
        "median_lag_at_most_one_frame": abs(ours["lag_frames"]["median"]) <= 1,
        "two_frames_noticed": split["n_noticed"] == split["n_trials"],
        "late_noticed": late["lag_ms"]["p5"] > 3 * found["frame_ms"],
        "slow_frame_moves_the_onset_too": slow["lag_ms"]["median"] < SLOW_MS / 2,
    }
    write_json(arguments.out, found)
    console = Console(width=150)
    console.print(table(found))
    console.print(f"Planted faults: {found['planted_faults']}")
    console.print(f"{found['passed']}\nWritten to {arguments.out}")
    return 0 if all(found["passed"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
