"""Which trial an observer sees: from the picture it was sent and where things stand."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from data.atlases import cell_hashes, index_atlas
from data.errors import DataContractError, ExperimentError
from data.files import bytes_hash
from data.studies import (
    Cells,
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
    """Knows a study's images by their content; never asks the server.

    Every session gets the cells of an atlas in another order, so that an atlas is
    known by its cells in any order.
    """

    def __init__(self, study: Study) -> None:
        self.right_options = study.comprehension
        self._known: dict[str, tuple[StudyTrial, tuple[str, ...]]] = {}
        for trial in study.trials.values():
            path = study.atlas_path(trial)
            content = path.read_bytes()
            hashes = cell_hashes(content, index_atlas(content, path))
            self._known[_key(hashes)] = trial, hashes

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
        known, _ = self._found(atlas)
        cells = self.trial_as_sent(reply, atlas).cells
        right = {tuple(position) for position in reply["right"]}
        positive = {cell_position(cell) for cell in cells.positive_explanations}
        upper = cell_position(cells.positive_query)
        presentation = Presentation(
            trial_id=known.trial_id,
            positive_side="right" if positive <= right else "left",
            upper_query="positive" if upper == tuple(reply["upper"]) else "negative",
        )
        return ShownTrial(known, correct_row(known, presentation))

    def trial_as_sent(self, reply: Mapping[str, Any], atlas: bytes) -> StudyTrial:
        """Return the trial with its cells where they stand in what was sent.

        Raises
        ------
        ExperimentError
            As in :meth:`shown`.
        """
        trial, hashes = self._found(atlas)
        sent = cell_hashes(atlas, index_atlas(atlas, "The image"))
        queries = {tuple(reply["upper"]), tuple(reply["lower"])}
        # A catch trial has its queries among its explanations too.
        free = {
            is_query: [
                cell
                for cell in range(len(sent))
                if (cell_position(cell) in queries) == is_query
            ]
            for is_query in (True, False)
        }

        def place(cell: int, *, is_query: bool = False) -> int:
            own = [one for one in free[is_query] if sent[one] == hashes[cell]]
            free[is_query].remove(own[0])
            return own[0]

        cells = trial.cells
        return replace(
            trial,
            cells=Cells(
                positive_query=place(cells.positive_query, is_query=True),
                negative_query=place(cells.negative_query, is_query=True),
                positive_explanations=tuple(map(place, cells.positive_explanations)),
                negative_explanations=tuple(map(place, cells.negative_explanations)),
            ),
        )

    def _found(self, atlas: bytes) -> tuple[StudyTrial, tuple[str, ...]]:
        try:
            hashes = cell_hashes(atlas, index_atlas(atlas, "The image"))
            return self._known[_key(hashes)]
        except (DataContractError, KeyError) as error:
            raise ExperimentError(
                "The server showed a trial that is not in the study; it serves another"
                " study. Give the study that it serves, or another --server."
            ) from error


def _key(hashes: tuple[str, ...]) -> str:
    return bytes_hash(" ".join(sorted(hashes)).encode())
