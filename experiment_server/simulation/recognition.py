"""Which trial an observer sees: from the picture it was sent and where things stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data.errors import ExperimentError
from data.files import bytes_hash
from data.studies import (
    Presentation,
    Row,
    Study,
    StudyTrial,
    cell_position,
    correct_row,
)


@dataclass(frozen=True)
class ShownTrial:
    """A trial that an observer recognised, with the row that is correct."""

    trial: StudyTrial
    correct: Row


class Recognition:
    """Knows a study's atlases by their content; never asks the server."""

    def __init__(self, study: Study) -> None:
        self._by_content = {one.atlas_sha256: one for one in study.trials.values()}

    def shown(self, reply: Mapping[str, Any], atlas: bytes) -> ShownTrial:
        """Return what a trial's reply and its atlas show.

        Parameters
        ----------
        reply : mapping
            ``trial`` of the session's state.

        Raises
        ------
        ExperimentError
            The study has no such atlas.
        """
        trial = self._by_content.get(bytes_hash(atlas))
        if trial is None:
            raise ExperimentError(
                "The server showed a trial that is not in the study; it serves another"
                " study. Give the study that it serves, or another --server."
            )
        right = {tuple(position) for position in reply["right"]}
        first = cell_position(trial.cells.positive_explanations[0])
        upper = cell_position(trial.cells.positive_query)
        presentation = Presentation(
            trial_id=trial.trial_id,
            positive_side="right" if first in right else "left",
            upper_query="positive" if upper == tuple(reply["upper"]) else "negative",
        )
        return ShownTrial(trial, correct_row(trial, presentation))
