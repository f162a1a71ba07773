"""``python -m tests.experiment_server.screenshots``: every page, to be looked at."""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from experiment_server.browser import running_chromium
from tests.experiment_server.tour import LANGUAGES, Tour

SIZES = ((940, 600), (1280, 720), (1920, 1080))


def main(argv=None):
    """Write ``OUT/LANGUAGE/PAGE-WIDTHxHEIGHT.png`` of every page in every size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("artifacts/screenshots"))
    parser.add_argument("--language", choices=LANGUAGES, action="append")
    arguments = parser.parse_args(argv)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    n_pictures = 0
    with running_chromium() as browser:
        for language in arguments.language or LANGUAGES:
            folder = arguments.out / language
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory() as place:
                for name, page in Tour(browser, Path(place), language).pages():
                    n_pictures += _in_all_sizes(page, folder, name)
    sys.stdout.write(f"{n_pictures} pictures in {arguments.out}\n")
    return 0


def _in_all_sizes(page, folder, name):
    before = page.viewport_size
    # What says that the window is too small goes when it is large enough.
    sizes = (tuple(before.values()),) if name == "too_small" else SIZES
    for width, height in sizes:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(120)
        page.screenshot(path=folder / f"{name}-{width}x{height}.png")
    page.set_viewport_size(before)
    return len(sizes)


if __name__ == "__main__":
    sys.exit(main())
