"""Which image a name stands for, whether it may be sent now, and the bytes to send."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import cast

from sqlalchemy import Table, bindparam, select

from data.atlases import AtlasIndex, index_atlas, rearranged
from data.errors import ExperimentError
from data.studies import Study, StudyTrial
from experiment_server.cell_order import cell_places
from experiment_server.database import Database
from experiment_server.presentations import example_presentation
from experiment_server.screens import N_AHEAD, WITH_IMAGES, present_screen
from experiment_server.tables import PresentationRecord, SessionRecord

_N_INDEXED = 4096
"""Atlases whose index is kept, of about 3 kB each."""


_SESSION = cast(Table, SessionRecord.__table__)
_PRESENTATION = cast(Table, PresentationRecord.__table__)
_NEEDED = [
    _SESSION.c[name]
    for name in (
        "session_id",
        "number",
        "status",
        "screen",
        "position",
        "lease_until",
        "draw_key",
    )
]
_SHOWN = (
    select(*_NEEDED, _PRESENTATION.c.trial_id, _PRESENTATION.c.trial_index)
    .join(_PRESENTATION, _PRESENTATION.c.session_id == _SESSION.c.session_id)
    .where(_PRESENTATION.c.image == bindparam("image"))
)
_EXAMPLE = select(*_NEEDED).where(_SESSION.c.example_image == bindparam("image"))


@dataclass(frozen=True)
class SentImage:
    """What is to be sent for an image's name.

    Attributes
    ----------
    trial : StudyTrial
    places : tuple of int
        For each cell of the trial's atlas, where it stands in what is sent.
    """

    trial: StudyTrial
    places: tuple[int, ...]


def sent_image(
    database: Database, study: Study, image: str, now: datetime
) -> SentImage | None:
    """Return what a name stands for, or None where its session may not see it now.

    It may see the open presentation, the two after it, and the example while the
    instructions are read.
    """
    # Past the unit of work, which takes three times as long; a row has the names that
    # its record has.
    with database.glance() as connection:
        found = connection.execute(_SHOWN, {"image": image}).first()
    if found is None:
        return _example(database, study, image, now)
    record = cast(SessionRecord, found)
    screen = present_screen(record, now)
    ahead = found.trial_index - record.position
    # Between trials none is open, so that one less lies ahead.
    most = N_AHEAD if screen == "trial" else N_AHEAD - 1
    if screen not in WITH_IMAGES or not 0 <= ahead <= most:
        return None
    return _sent(study, record, found.trial_id, found.trial_index)


def _example(
    database: Database, study: Study, image: str, now: datetime
) -> SentImage | None:
    with database.glance() as connection:
        found = connection.execute(_EXAMPLE, {"image": image}).first()
    record = cast(SessionRecord | None, found)
    if record is None or present_screen(record, now) != "instructions":
        return None
    return _sent(study, record, example_presentation(study, record).trial_id, -1)


def _sent(
    study: Study, record: SessionRecord, trial_id: str, sequence: int
) -> SentImage:
    trial = study.trials[trial_id]
    return SentImage(trial, cell_places(record, sequence, trial))


def image_bytes(study: Study, sent: SentImage) -> bytes:
    """Return the JPEG to send: the trial's atlas with its cells at other places."""
    path = study.atlas_path(sent.trial)
    content = path.read_bytes()
    index = _index(path, sent.trial.atlas_sha256)
    if index.starts[-1] != len(content):
        raise ExperimentError(
            f"{path} was changed since the server started; a study must stay as it"
            " was compiled. Put the file back, or compile the study again."
        )
    return rearranged(content, index, sent.places)


@lru_cache(_N_INDEXED)
def _index(path: Path, sha256: str) -> AtlasIndex:
    # The hash is part of the key: another file may take this path's place.
    return index_atlas(path.read_bytes(), path)
