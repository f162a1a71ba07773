"""Published results that ship with the project, each with its source."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa

from data.errors import DataContractError
from data.formats import read_header
from data.tables import read_csv

FOLDER = Path(__file__).with_name("published")


def _share() -> pa.Column:
    return pa.Column(
        "float64", pa.Check.in_range(0, 1), description="a number in [0, 1]"
    )


def _count() -> pa.Column:
    return pa.Column(
        "int64", pa.Check.ge(0), description="a whole number of at least 0"
    )


def _one_of(*values: str) -> pa.Column:
    described = "one of " + ", ".join(values)
    return pa.Column(str, pa.Check.isin(values), description=described)


ANSWERED_UNITS = pa.DataFrameSchema(
    {
        "unit": pa.Column(str, description="model::layer::channel"),
        "explanation_method": _one_of("natural", "synthetic"),
        "unit_selection": _one_of("random", "hand_picked"),
        "n_correct": _count(),
        "n_trials": _count(),
        "mis": _share(),
        "hard_accuracy": _share(),
    },
    unique=["unit", "explanation_method"],
    coerce=True,
    name="a table of answered units",
)
"""One row a unit and explanation method: counted answers beside the unit's MIS."""

MODEL_SCORES = pa.DataFrameSchema(
    {
        "model": pa.Column(str, description="text"),
        "explanation_method": _one_of("natural", "synthetic"),
        "imagenet_top1": _share(),
        "his": _share(),
        "ci_low": _share(),
        "ci_high": _share(),
        "n_units": _count(),
    },
    unique=["model", "explanation_method"],
    coerce=True,
    name="a table of model scores",
)
"""One row a model and explanation method: HIS with its 95% interval."""


@dataclass(frozen=True, kw_only=True)
class PublishedValue:
    """One number to hold our own against.

    Attributes
    ----------
    claim : str
        What the number is, in words.
    study : str
        What was measured, such as ``"Borowski et al. 2021, Experiment I"``.
    source : str
        Where the number stands.
    kind : str
        ``"published"`` by the authors, or a ``"reference"`` that another program
        computed from their data.
    value : float
    tolerance : float
        How far ours may lie from it; what the source prints as ±, or its precision.
    data : tuple of str
        What it takes to compute it: names of :data:`DATA_WORDS`.
    statistic : str
        Name of the computation.
    where : mapping
        To which answers or scores it applies.
    """

    claim: str
    study: str
    source: str
    kind: str
    value: float
    tolerance: float
    data: tuple[str, ...]
    statistic: str
    where: Mapping[str, Any]


DATA_WORDS: Mapping[str, str] = {
    "borowski_units": "the shipped table of answered units",
    "borowski_experiment1": "raw CSV of Experiment I (--borowski DIR)",
    "borowski_experiment2": "raw CSV of Experiment II (--borowski DIR)",
    "googlenet_mis": "MIS of all GoogLeNet units (--scores FILE)",
    "imi": "IMI’s responses_main.csv (--imi CSV)",
    "imi_mis": "MIS of IMI’s units (--scores FILE)",
    "interventional": "the answers of the interventional study, which are unpublished",
}
"""What a claim may need, in words."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Published:
    """A published table and where it is from.

    Attributes
    ----------
    title : str
    table : DataFrame
        :data:`ANSWERED_UNITS` or :data:`MODEL_SCORES`.
    columns : mapping of str to str
        What each column means.
    sources : tuple of mappings
        'what', 'where', 'commit', 'paper', 'licence' of each source.
    derived : str
        How the table was made from the sources.
    """

    title: str
    table: pd.DataFrame
    columns: Mapping[str, str]
    sources: tuple[Mapping[str, str], ...]
    derived: str


def read_borowski2021(folder: Path = FOLDER) -> Published:
    """Read the answers per unit of Borowski et al. 2021, Experiment I.

    Raises
    ------
    DataContractError
        The shipped files were changed so that they break their schema.
    """
    published = _read(folder, "borowski2021_experiment1_units", ANSWERED_UNITS)
    table = published.table
    for row in table[table["n_correct"] > table["n_trials"]].itertuples():
        raise DataContractError(
            f"Unit {row.unit!r} has 'n_correct' {row.n_correct}; it must be at most"
            f" 'n_trials' {row.n_trials}. Restore the file from the project."
        )
    return published


def read_imi_model_scores(folder: Path = FOLDER) -> Published:
    """Read the HIS of IMI's nine models."""
    return _read(folder, "imi_model_scores", MODEL_SCORES)


def read_claims(folder: Path = FOLDER) -> tuple[PublishedValue, ...]:
    """Read the numbers of the papers that ours are held against."""
    path = Path(folder) / "claims.json"
    _, own = read_header(path, format="published_claims", versions=(1,))
    try:
        return tuple(
            PublishedValue(**entry | {"data": tuple(entry["data"])})
            for entry in own["claims"]
        )
    except (KeyError, TypeError) as error:
        raise DataContractError(
            f"{path} lacks an entry ({error}); each claim must hold claim, study,"
            " source, kind, value, tolerance, data, statistic and where. Restore the"
            " file from the project."
        ) from error


def _read(folder: Path, name: str, schema: pa.DataFrameSchema) -> Published:
    path = Path(folder) / f"{name}.json"
    _, own = read_header(path, format="published", versions=(1,))
    try:
        return Published(
            title=own["title"],
            table=read_csv(path.with_suffix(".csv"), schema),
            columns=own["columns"],
            sources=tuple(own["sources"]),
            derived=own["derived"],
        )
    except (KeyError, TypeError) as error:
        raise DataContractError(
            f"{path} lacks an entry ({error}); it must hold title, columns, sources"
            " and derived. Restore the file from the project."
        ) from error
