"""``python -m tests.experiment_server.screenshots``: every page, to be looked at."""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from experiment_server.browser import running_chromium
from tests.experiment_server.imi_walk import FLEETING, ImiWalk
from tests.experiment_server.tour import LANGUAGES, Tour

SIZES = ((940, 600), (1280, 720), (1920, 1080))
# What says that the window is too small goes when it is large enough.
AS_IT_IS = {"too_small"} | FLEETING
IMI_READING_MS = 2_000
"""So long each page is read: a session that IMI's checks let pass."""


def main(argv=None):
    """Write ``OUT/LANGUAGE/PAGE-WIDTHxHEIGHT.png`` of every page in every size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("artifacts/screenshots"))
    parser.add_argument("--language", choices=LANGUAGES, action="append")
    parser.add_argument(
        "--preset",
        choices=["imi"],
        help="walk one whole session of it instead, screen by screen; five minutes",
    )
    arguments = parser.parse_args(argv)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    with running_chromium() as browser:
        for language in arguments.language or LANGUAGES:
            with tempfile.TemporaryDirectory() as place:
                if arguments.preset:
                    folder = arguments.out / f"{arguments.preset}-{language}"
                    _walk(browser, Path(place), language, folder)
                else:
                    tour = Tour(browser, Path(place), language)
                    _photograph(tour.pages(), arguments.out / language)
    return 0


def _walk(browser, place, language, folder):
    walk = ImiWalk(browser, place, language, reading_ms=IMI_READING_MS)
    seen = enumerate(walk.pages(), start=1)
    _photograph(
        ((f"{number:02}-{name}", page) for number, (name, page) in seen), folder
    )
    _, rows = walk.tables
    checks = [name for name in rows.columns if name.endswith("_result")]
    sys.stdout.write(
        f"{len(rows)} rows in IMI's table; its checks: "
        + ", ".join(f"{name} {rows[name].all()}" for name in checks)
        + f"; passed_checks {rows['passed_checks'].all()}\n"
    )


def _photograph(pages, folder):
    folder.mkdir(parents=True, exist_ok=True)
    n_pictures = sum(_in_all_sizes(page, folder, name) for name, page in pages)
    sys.stdout.write(f"{n_pictures} pictures in {folder}\n")


def _in_all_sizes(page, folder, name):
    before = page.viewport_size
    stays = name.partition("-")[2] in AS_IT_IS or name in AS_IT_IS
    sizes = (tuple(before.values()),) if stays else SIZES
    for width, height in sizes:
        if not stays:
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(120)
        page.screenshot(path=folder / f"{name}-{width}x{height}.png")
    page.set_viewport_size(before)
    return len(sizes)


if __name__ == "__main__":
    sys.exit(main())
