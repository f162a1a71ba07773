"""Where the cells of an atlas stand as one session gets it: a secret of the server."""

from functools import lru_cache
from hashlib import blake2b

from data.studies import Cells, StudyTrial, n_cells
from experiment_server.tables import SessionRecord

_N_KEPT = 4096
"""Orders that are kept: each is asked for with its image and with three replies."""


def cell_places(
    record: SessionRecord, sequence: int, trial: StudyTrial
) -> tuple[int, ...]:
    """Return for each cell of a trial's atlas where it stands in what is sent.

    Every order is equally likely, and drawn anew for every presentation with a key
    that no browser has: who has seen the trial in another session, or has the
    compiled study, can't tell a cell by its place.

    Parameters
    ----------
    sequence : int
        The presentation's place in the session; -1 for the example.
    """
    key = record.draw_key or record.session_id
    n = n_cells(n_images=len(trial.task.images))
    return _places(key, record.session_id, sequence, n)


@lru_cache(_N_KEPT)
def _places(key: str, session_id: str, sequence: int, n: int) -> tuple[int, ...]:
    ranks = [
        blake2b(
            f"{session_id} {sequence} {cell}".encode(), key=bytes.fromhex(key)
        ).digest()
        for cell in range(n)
    ]
    places = [0] * n
    for place, cell in enumerate(sorted(range(n), key=ranks.__getitem__)):
        places[cell] = place
    return tuple(places)


def sent_cells(record: SessionRecord, sequence: int, trial: StudyTrial) -> Cells:
    """Return which cell of the atlas as it is sent holds which image."""
    places = cell_places(record, sequence, trial)
    cells = trial.cells
    return Cells(
        positive_query=places[cells.positive_query],
        negative_query=places[cells.negative_query],
        positive_explanations=tuple(places[one] for one in cells.positive_explanations),
        negative_explanations=tuple(places[one] for one in cells.negative_explanations),
    )
