"""Which image a name stands for, and whether it may be sent now."""

from datetime import datetime
from pathlib import Path

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from data.studies import Study
from experiment_server.presentations import example_presentation
from experiment_server.screens import N_AHEAD, WITH_IMAGES, present_screen
from experiment_server.tables import PresentationRecord, SessionRecord


def image_path(db: Session, study: Study, image: str, now: datetime) -> Path | None:
    """Return the file of an image that its session may see now, or None.

    That is the open presentation's, the two after it, and the example while the
    instructions are read.
    """
    found = db.execute(
        select(SessionRecord, PresentationRecord)
        .outerjoin(
            PresentationRecord,
            (PresentationRecord.session_id == SessionRecord.session_id)
            & (PresentationRecord.image == image),
        )
        .where(
            or_(PresentationRecord.image == image, SessionRecord.example_image == image)
        )
    ).first()
    if found is None:
        return None
    record, shown = found
    screen = present_screen(record, now)
    if shown is None:
        if screen != "instructions":
            return None
        trial_id = example_presentation(study, record).trial_id
    else:
        ahead = shown.trial_index - record.position
        # Between trials none is open, so that one less lies ahead.
        most = N_AHEAD if screen == "trial" else N_AHEAD - 1
        if screen not in WITH_IMAGES or not 0 <= ahead <= most:
            return None
        trial_id = shown.trial_id
    return study.atlas_path(study.trials[trial_id])
