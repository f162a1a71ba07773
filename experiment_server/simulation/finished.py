"""Which simulated participants need not take part again."""

from collections import Counter

from sqlalchemy import select

from data.studies import Study
from experiment_server.database import open_database
from experiment_server.flow import ENDS
from experiment_server.tables import IdentityRecord, SessionRecord


def finished_sessions(study: Study, database_url: str, *, make: bool) -> Counter[str]:
    """Count each participant's sessions that have reached an end.

    Parameters
    ----------
    make : bool
        Make the database where there is none.

    Returns
    -------
    Counter of str
        By the recruiter's name for the participant.

    Raises
    ------
    ExperimentError
        The database can't be used.
    """
    database = open_database(study, database_url, upgrade=make)
    try:
        with database.read() as db:
            names = db.scalars(
                select(IdentityRecord.external_id)
                .join(
                    SessionRecord,
                    SessionRecord.participant_id == IdentityRecord.participant_id,
                )
                .where(SessionRecord.screen.in_(ENDS), SessionRecord.simulated)
            )
            return Counter(names)
    finally:
        database.close()
