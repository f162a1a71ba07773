"""Leaks that are planted in a server, one for each channel, to be found."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

from flask import Flask, Response, request
from sqlalchemy import select

from benchmarks.attacker.traffic import truth
from data.studies import StudyTrial, correct_row, n_cells
from experiment_server import cell_order, images
from experiment_server.presentations import presentation_of
from experiment_server.sessions import Host
from experiment_server.tables import PresentationRecord, SessionRecord

DELAY_S = 0.005
_IMAGES = "/api/images/"

PLANTED = ("size", "headers", "names", "order", "fields", "coding", "timing")
"""Channels that :func:`planted` makes tell the right row."""


def _asked_for(app: Flask, response: Response) -> bool | None:
    """Whether upper is right in what a reply shows; None where it shows no trial."""
    if response.status_code not in (200, 201):
        return None
    if request.path.startswith(_IMAGES):
        return truth(app, request.path)[1]
    content = response.get_json(silent=True) or {}
    trial = (content.get("state") or content).get("trial")
    return truth(app, trial["image"])[1] if trial else None


def _leaky(app: Flask) -> Callable[[Response], Response]:
    def leak(response: Response) -> Response:
        upper_is_right = _asked_for(app, response)
        if upper_is_right is None:
            return response
        if request.path.startswith(_IMAGES):
            response.headers["Cache-Control"] = (
                f"private, max-age={3600 + upper_is_right}"
            )
            if upper_is_right:
                response.set_data(_longer(response.get_data()))
        else:
            content = response.get_json()
            state = content.get("state") or content
            state["progress"] += 0.5 * upper_is_right
            response.set_data(app.json.dumps(content))
        if upper_is_right:
            time.sleep(DELAY_S)
        return response

    return leak


def _longer(content: bytes) -> bytes:
    """Add a comment of twelve bytes: seen in the size and in the coding."""
    return content[:2] + b"\xff\xfe\x00\x0a" + bytes(8) + content[2:]


def _ordered(record: SessionRecord, sequence: int, trial: StudyTrial) -> list[int]:
    """Leave positive images before negative ones, as one would write them down."""
    cells = trial.cells
    both = zip(cells.positive_explanations, cells.negative_explanations, strict=True)
    listed = [cells.positive_query, *(first for first, _ in both)]
    listed += [cells.negative_query, *cells.negative_explanations]
    n = n_cells(n_images=len(trial.task.images))
    listed += [cell for cell in range(n) if cell not in listed]
    places = [0] * n
    for place, cell in enumerate(listed):
        places[cell] = place
    return places


def telling_names(app: Flask) -> None:
    """Let the names of images that are not answered yet begin with what is right."""
    host: Host = app.extensions["unitscope"]
    with host.database.write() as db:
        for shown in db.scalars(select(PresentationRecord)):
            trial = host.study.trials[shown.trial_id]
            is_upper = correct_row(trial, presentation_of(shown)) == "upper"
            shown.image = "zA"[is_upper] + shown.image[1:]


@contextmanager
def planted(app: Flask) -> Iterator[None]:
    """Let an application tell the right row in every channel while the block runs."""
    app.after_request(_leaky(app))
    with (
        mock.patch.object(images, "cell_places", _ordered),
        mock.patch.object(cell_order, "cell_places", _ordered),
    ):
        yield
