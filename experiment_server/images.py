"""Which image a name stands for, whether it may be sent now, and the bytes to send."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session, load_only

from data.atlases import AtlasIndex, index_atlas, rearranged
from data.errors import ExperimentError
from data.studies import Study, StudyTrial
from experiment_server.cell_order import cell_places
from experiment_server.presentations import example_presentation
from experiment_server.screens import N_AHEAD, WITH_IMAGES, present_screen
from experiment_server.tables import PresentationRecord, SessionRecord

_N_INDEXED = 4096
"""Atlases whose index is kept, of about 3 kB each."""


_SHOWN = (
    select(SessionRecord, PresentationRecord.trial_id, PresentationRecord.trial_index)
    .join(PresentationRecord, PresentationRecord.session_id == SessionRecord.session_id)
    .where(PresentationRecord.image == bindparam("image"))
    .options(
        load_only(
            SessionRecord.session_id,
            SessionRecord.status,
            SessionRecord.screen,
            SessionRecord.position,
            SessionRecord.lease_until,
            SessionRecord.draw_key,
        )
    )
)


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
    db: Session, study: Study, image: str, now: datetime
) -> SentImage | None:
    """Return what a name stands for, or None where its session may not see it now.

    It may see the open presentation, the two after it, and the example while the
    instructions are read.
    """
    found = db.execute(_SHOWN, {"image": image}).first()
    if found is None:
        return _example(db, study, image, now)
    record, trial_id, trial_index = found
    screen = present_screen(record, now)
    ahead = trial_index - record.position
    # Between trials none is open, so that one less lies ahead.
    most = N_AHEAD if screen == "trial" else N_AHEAD - 1
    if screen not in WITH_IMAGES or not 0 <= ahead <= most:
        return None
    return _sent(study, record, trial_id, trial_index)


def _example(db: Session, study: Study, image: str, now: datetime) -> SentImage | None:
    record = db.scalar(
        select(SessionRecord).where(SessionRecord.example_image == image)
    )
    if record is None or present_screen(record, now) != "instructions":
        return None
    return _sent(study, record, example_presentation(study, record).trial_id, -1)


def _sent(
    study: Study, record: SessionRecord, trial_id: str, sequence: int
) -> SentImage:
    trial = study.trials[trial_id]
    return SentImage(trial, tuple(cell_places(record, sequence, trial)))


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
