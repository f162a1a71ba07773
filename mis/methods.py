"""Scores of units by other methods than MIS, on the same images of the same tasks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from data.errors import DataContractError
from data.recordings import Recording
from data.tasks import NEGATIVE, POSITIVE, TaskSet

Values = NDArray[np.float64]
Rows = Callable[[NDArray[np.integer]], NDArray[np.float32]]
"""Maps image indices to their unit-norm features, one more axis behind."""

_CHUNK_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class Method:
    """What a method needs, and where it is from.

    Attributes
    ----------
    summary : str
    source : str
    needs : str
        ``"margins"``, ``"features"`` or ``"recording"``: the least of it.
    scale : str
        How its value becomes the column 'mis', which is in [0, 1].
    """

    summary: str
    source: str
    needs: str
    scale: str


METHODS = {
    "mis": Method(
        summary="mean probability of a correct answer (the default)",
        source="Zimmermann, Klindt, Brendel 2024",
        needs="margins",
        scale="as it is",
    ),
    "hard-accuracy": Method(
        summary="share of margins above 0",
        source="Zimmermann, Klindt, Brendel 2024",
        needs="margins",
        scale="as it is",
    ),
    "interpretability-index": Method(
        summary="as MIS, with each task's similarities z-scored",
        source="Klindt et al. 2023, arXiv 2310.11431",
        needs="features",
        scale="as it is",
    ),
    "top-similarity": Method(
        summary="mean similarity of any two of the most activating images",
        source="Describe-and-Dissect, Bai et al. 2024, arXiv 2403.13771, App. B.10",
        needs="features",
        scale="(1 + value) / 2",
    ),
    "monosemanticity": Method(
        summary="the same, weighted by the two images' activations",
        source="Pach et al. 2025, arXiv 2504.02821",
        needs="features and recording",
        scale="(1 + value) / 2",
    ),
    "sparsity": Method(
        summary="share of all images that leave the unit at 0 or below",
        source="the recording",
        needs="recording",
        scale="as it is",
    ),
    "local-contrast": Method(
        summary="mean difference between neighbouring places of the unit's maps",
        source="the recording",
        needs="recording",
        scale="value / the recording's largest",
    ),
}


def interpretability_index(features: Rows, tasks: TaskSet) -> Values:
    """Return each unit's mean probability when every task has its own scale.

    Notes
    -----
    The similarities of a task's two queries to its 2 K explanations are z-scored
    together; the probability is a softmax of the evidence, which is
    ``sigmoid(margin / sd)`` with sd that of the task's 4 K similarities. Where all
    are equal, sd counts as 1. Klindt et al. draw the queries from the extreme end and
    rescale to 2 p - 1; here the tasks are those of MIS, and p is the score.
    """
    values = np.empty(len(tasks.units))
    for chunk in _chunks(tasks, features):
        query = features(tasks.queries[chunk])
        explanation = features(tasks.explanations[chunk])
        similarity = np.einsum("utqd,utekd->utqek", query, explanation, optimize=True)
        similarity = similarity.astype(np.float64)
        fit = similarity.mean(axis=-1)
        preference = fit[..., POSITIVE] - fit[..., NEGATIVE]
        margin = preference[..., POSITIVE] - preference[..., NEGATIVE]
        spread = similarity.std(axis=(2, 3, 4))
        spread[spread == 0] = 1.0
        values[chunk] = expit(margin / spread).mean(axis=-1)
    return values


def top_similarity(features: Rows, tasks: TaskSet) -> Values:
    """Return the mean cosine of any two of each unit's most activating images.

    Notes
    -----
    The images are the positive explanations and queries of all its tasks. With
    unit-norm features the sum over pairs is ``(‖Σ z‖² − Σ ‖z‖²) / 2``: no pair is
    looked at.
    """
    values = np.empty(len(tasks.units))
    for chunk in _chunks(tasks, features):
        n_units = len(tasks.queries[chunk])
        top = np.concatenate(
            [
                tasks.queries[chunk][..., POSITIVE].reshape(n_units, -1),
                tasks.explanations[chunk][:, :, POSITIVE].reshape(n_units, -1),
            ],
            axis=1,
        )
        values[chunk] = weighted_similarity(features(top), np.ones(top.shape))
    return values


def monosemanticity(features: Rows, recording: Recording, rows: list[int]) -> Values:
    """Return the activation-weighted mean cosine of any two images of each unit.

    Parameters
    ----------
    features : callable
        Of the recording's image indices.
    rows : list of int
        The units' rows in the recording.

    Notes
    -----
    ``Σ a_i a_j cos(z_i, z_j) / Σ a_i a_j`` over pairs i < j, with activations scaled
    to [0, 1] between the unit's least and greatest. Both sums follow from sums over
    images: ``(‖Σ a z‖² − Σ a²) / ((Σ a)² − Σ a²)``. Over all images where every unit
    has its full activations; else over the recorded extremes at both ends.
    """
    units = [recording.units[row] for row in rows]
    full = all(unit in recording.full for unit in units)
    values = np.empty(len(rows))
    for place, (row, unit) in enumerate(zip(rows, units, strict=True)):
        statistics = recording.statistics.iloc[row]
        low, high = statistics["minimum"], statistics["maximum"]
        if full:
            index = np.arange(len(recording.image_ids))
            activation = recording.full[unit]
        else:
            ends = (recording.top_index[row], recording.bottom_index[row])
            index, first = np.unique(np.concatenate(ends), return_index=True)
            activation = np.concatenate(
                [recording.top_value[row], recording.bottom_value[row]]
            )[first]
        scaled = (activation.astype(np.float64) - low) / (high - low)
        images = features(index[scaled > 0])
        values[place] = weighted_similarity(images[None], scaled[None, scaled > 0])[0]
    return values


def weighted_similarity(
    features: NDArray[np.floating], weights: NDArray[np.floating]
) -> Values:
    """Return the weighted mean cosine over pairs of images; NaN with fewer than two.

    Parameters
    ----------
    features : (n_units, n_images, n_features) array
    weights : (n_units, n_images) array
        0 or above.
    """
    total = np.einsum("uid,ui->ud", features, weights, dtype=np.float64)
    norms = np.einsum("uid,uid->ui", features, features, dtype=np.float64)
    own = (weights**2 * norms).sum(axis=1)
    pairs = weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = ((total**2).sum(axis=1) - own) / pairs
    return np.where(pairs > 0, mean, np.nan)


def from_statistics(method: str, recording: Recording, rows: list[int]) -> Values:
    """Return sparsity or local contrast, as the recording has them.

    Raises
    ------
    DataContractError
        The recording has none.
    """
    column = method.replace("-", "_")
    table = recording.statistics
    if column not in table or table[column].isna().all():
        raise DataContractError(
            f"The recording has no {column!r} of its units; the method {method!r}"
            " needs it. Record again and ask for it."
        )
    return table[column].to_numpy("float64")[rows]


def scaled(method: str, values: Values) -> Values:
    """Return the values on the scale of a score table, in [0, 1]."""
    scale = METHODS[method].scale
    if scale.startswith("(1 +"):
        return np.clip((1 + values) / 2, 0, 1)
    if scale.startswith("value /"):
        largest = np.nanmax(values, initial=0)
        return values / largest if largest > 0 else values
    return values


def _chunks(tasks: TaskSet, features: Rows) -> Iterator[slice]:
    if not tasks.units:
        return
    n_features = features(np.zeros(1, dtype=np.int64)[:0]).shape[-1]
    per_unit = 4 * n_features * (tasks.queries[0].size + tasks.explanations[0].size)
    step = max(1, _CHUNK_BYTES // per_unit)
    for start in range(0, len(tasks.units), step):
        yield slice(start, start + step)
