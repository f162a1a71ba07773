"""What all analyses of sensitivity start from, and what each of them gives."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from data.errors import DataContractError
from data.recordings import Recording
from data.tasks import TaskConfig, TaskSet, draw_tasks
from data.units import UnitId
from mis.score import unit_scores

Margins = NDArray[np.float32]
MarginsOf = Callable[[TaskSet], Margins]
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Analysis:
    """One choice, and what became of the scores.

    Attributes
    ----------
    name : str
        Of its table and figure.
    title : str
    fixed : str
        What was held fixed, in words.
    said : str
        What came out, in one sentence or two.
    table : DataFrame
        What the figure shows.
    """

    name: str
    title: str
    fixed: str
    said: str
    table: pd.DataFrame = field(repr=False)


@dataclass(frozen=True, eq=False, kw_only=True)
class Setting:
    """What all analyses start from.

    Attributes
    ----------
    recording : Recording
    units : tuple of UnitId
        That have tasks in the reference.
    config : TaskConfig
    tau : float
    seed : int
        Of the reference's tasks.
    encoder : str
    margins_of : callable
        Of the reference's encoder.
    margins : (n_units, n_tasks) float32 array
        Of the reference.
    """

    recording: Recording
    units: tuple[UnitId, ...]
    config: TaskConfig
    tau: float
    seed: int
    encoder: str
    margins_of: MarginsOf = field(repr=False)
    margins: Margins = field(repr=False)

    @property
    def scores(self) -> Array:
        """The reference's MIS of each unit."""
        return unit_scores(self.margins, tau=self.tau)[0]

    def again(
        self,
        recording: Recording | None = None,
        *,
        seed: int | None = None,
        **changes: int | str,
    ) -> tuple[TaskSet, Array]:
        """Draw tasks anew with other settings; return them and the scores."""
        config = replace(self.config, tied_units="draw")
        tasks = draw_tasks(
            recording or self.recording,
            replace(config, **changes),  # type: ignore[arg-type]
            seed=self.seed if seed is None else seed,
            units=self.units,
        )
        if tasks.units != self.units:
            gone = sorted(set(self.units) - set(tasks.units))
            raise DataContractError(
                f"{len(gone)} units have tasks in the reference but not with other"
                f" settings, first '{gone[0]}'. Record more images."
            )
        return tasks, unit_scores(self.margins_of(tasks), tau=self.tau)[0]

    def fixed(self, *varied: str) -> str:
        """Say what is held fixed, but for what is varied."""
        values = {
            "N": f"N = {self.config.n_tasks}",
            "K": f"K = {self.config.n_explanations}",
            "tau": f"tau = {self.tau:g}",
            "seed": f"seed {self.seed} of the tasks",
            "encoder": f"encoder {self.encoder}",
            "images": f"{len(self.recording.image_ids):,} images",
        }
        held = [text for name, text in values.items() if name not in varied]
        return ", ".join([*held, f"{len(self.units):,} units"])


def reference(
    recording: Recording,
    config: TaskConfig,
    margins_of: MarginsOf,
    *,
    tau: float,
    seed: int,
    encoder: str,
    most_units: int,
) -> Setting:
    """Draw the reference's tasks for some units, chosen at random, and score them.

    Raises
    ------
    DataContractError
        Fewer than two units have tasks.
    """
    tasks = draw_tasks(recording, config, seed=seed)
    rng = np.random.default_rng([seed, most_units])
    n_units = len(tasks.units)
    if n_units < 2:
        raise DataContractError(
            f"{n_units} of the recording's {len(recording.units)} units have tasks; two"
            " are needed to compare scores. Record more layers or images."
        )
    chosen = np.sort(rng.permutation(n_units)[:most_units])
    units = tuple(tasks.units[one] for one in chosen)
    own = draw_tasks(recording, config, seed=seed, units=units)
    return Setting(
        recording=recording,
        units=units,
        config=config,
        tau=tau,
        seed=seed,
        encoder=encoder,
        margins_of=margins_of,
        margins=margins_of(own),
    )


def compared(scores: Array, others: Array) -> dict[str, float]:
    """Return how two scores of the same units differ.

    Returns
    -------
    dict
        'mean_mis' (of the second), 'mean_difference' (absolute), 'p95_difference',
        'pearson', 'spearman' (NaN where one does not vary).
    """
    difference = np.abs(others - scores)
    return {
        "mean_mis": float(others.mean()),
        "mean_difference": float(difference.mean()),
        "p95_difference": float(np.quantile(difference, 0.95)),
        "pearson": _correlation(scores, others),
        "spearman": _correlation(rankdata(scores), rankdata(others)),
    }


def _correlation(first: Array, second: Array) -> float:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])
