"""The database's answers as the contract's tables, counted twice."""

from dataclasses import asdict
from datetime import datetime

import pandas as pd

from data.errors import ExperimentError
from data.files import folder_hash
from data.formats import Header, software_versions
from data.imi import imi_table
from data.responses import EXPORT_VERSION, Responses
from data.studies import Study
from experiment_server import rows
from experiment_server.database import Database


def exported(
    study: Study, database: Database, *, now: datetime, test_runs: bool = False
) -> tuple[Responses, pd.DataFrame]:
    """Read all answers in one transaction.

    Parameters
    ----------
    now : datetime
        Sessions whose lease has run out by now are timed out.
    test_runs : bool
        Whether test runs are among them.

    Returns
    -------
    tuple
        Our tables, and IMI's form of them.

    Raises
    ------
    ExperimentError
        The tables don't hold as many rows as the database counts.
    """
    with database.read() as db:
        responses = Responses(
            responses=rows.response_table(db, study, test_runs=test_runs),
            sessions=rows.session_table(db, study, test_runs=test_runs, now=now),
            header=_header(study, test_runs=test_runs),
            beside=rows.tables_beside(db, test_runs=test_runs),
        )
        shown = rows.shown_images(db, study, test_runs=test_runs)
        counted = {
            "responses": rows.n_answers(db, test_runs=test_runs),
            "sessions": rows.n_sessions(db, test_runs=test_runs),
        }
    found = {
        "responses": len(responses.responses),
        "sessions": len(responses.sessions),
    }
    if counted != found:
        raise ExperimentError(
            f"The export holds {found}; the database counts {counted}. Nothing was"
            " written. Check the database for damage."
        )
    imi = imi_table(responses, shown, confidence_levels=study.config.confidence_levels)
    return responses, imi


def _header(study: Study, *, test_runs: bool) -> Header:
    return Header(
        format="responses",
        version=EXPORT_VERSION,
        config={
            "test_runs": test_runs,
            "study_id": study.config.study_id,
            "exclusion": asdict(study.config.exclusion),
        },
        made_from={"study": folder_hash(study.folder)},
        software=software_versions("sqlalchemy", "pandas"),
    )
