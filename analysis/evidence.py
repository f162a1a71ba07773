"""The data that published claims are checked on: read, and nothing guessed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from analysis.inclusion import include
from data.borowski import read_borowski_folder
from data.errors import DataContractError
from data.exclusion import IMI
from data.imi import read_imi
from data.imi_responses import responses_from_imi
from data.published import read_borowski2021
from data.responses import Responses
from data.scores import MIS, read_score_table
from data.tables import checked

IMI_MODELS = (
    "googlenet",
    "densenet_201",
    "resnet50",
    "resnet50-l2",
    "clip-resnet50",
    "wide_resnet50",
    "in1k-vit_b32",
    "clip-vit_b32",
    "convnext_b",
)
"""The models of IMI as its table names them."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """The data that claims are checked on; None where they were not given.

    Attributes
    ----------
    borowski_units : DataFrame
        As in :data:`data.published.ANSWERED_UNITS`.
    borowski_experiment1, borowski_experiment2 : DataFrame
        Main trials, one row an answer: 'participant_id', 'unit', 'correct', 'rt_ms',
        'confidence', 'explanation_method' ('natural', 'synthetic', 'none'),
        and the columns of :data:`data.borowski_tables.CONDITIONS`.
    googlenet_mis : DataFrame
        'unit', 'mis' of GoogLeNet.
    imi : DataFrame
        Main trials of IMI that count, as in :data:`data.responses.RESPONSES`.
    imi_mis : DataFrame
        'unit', 'mis' of IMI's units.
    interventional : None
        These answers are unpublished.
    """

    borowski_units: pd.DataFrame | None = field(default=None, repr=False)
    borowski_experiment1: pd.DataFrame | None = field(default=None, repr=False)
    borowski_experiment2: pd.DataFrame | None = field(default=None, repr=False)
    googlenet_mis: pd.DataFrame | None = field(default=None, repr=False)
    imi: pd.DataFrame | None = field(default=None, repr=False)
    imi_mis: pd.DataFrame | None = field(default=None, repr=False)
    interventional: None = None

    @property
    def names(self) -> frozenset[str]:
        """What is at hand."""
        return frozenset(
            name for name, value in vars(self).items() if value is not None
        )

    def experiment(self, name: str) -> pd.DataFrame:
        """Return the answers of ``"I"`` or ``"II"``."""
        tables = {"I": self.borowski_experiment1, "II": self.borowski_experiment2}
        return given(tables[name])


def given(table: pd.DataFrame | None) -> pd.DataFrame:
    """Return a table that a claim needs; who asks for others has a bug."""
    if table is None:
        raise ValueError("A statistic was asked for data that were not given.")
    return table


def read_evidence(
    *,
    experiments: Mapping[str, Responses],
    imi: Path | None,
    scores: Sequence[Path],
) -> Evidence:
    """Gather what ships, what was read and what the paths hold.

    Parameters
    ----------
    experiments : mapping of str to Responses
        ``"I"`` and ``"II"`` of Borowski et al. 2021, where given.
    imi : Path, optional
        CSV of the IMI release.
    scores : sequence of Path
        Score tables; each is of GoogLeNet alone, or of IMI's units.

    Raises
    ------
    DataContractError
        A score table is of other units than any claim is about.
    """
    googlenet = imi_mis = None
    for path in scores:
        table = read_model_scores(path)
        models = set(table["unit"].str.partition("::")[0])
        if models == {"googlenet"}:
            googlenet = table
        elif models <= set(IMI_MODELS):
            imi_mis = table
        else:
            named = ", ".join(sorted(models - set(IMI_MODELS))[:3])
            raise DataContractError(
                f"{path} holds scores of {named}; claims are about GoogLeNet and the"
                " nine models of IMI. Give it with --responses to validate a study."
            )
    return Evidence(
        borowski_units=read_borowski2021().table,
        borowski_experiment1=_main(experiments.get("I")),
        borowski_experiment2=_main(experiments.get("II")),
        googlenet_mis=googlenet,
        imi=None if imi is None else _imi_answers(imi),
        imi_mis=imi_mis,
    )


def read_experiments(folder: Path | None) -> Mapping[str, Responses]:
    """Read the experiments of Borowski et al. 2021 that a folder holds."""
    return {} if folder is None else read_borowski_folder(folder)


def _main(responses: Responses | None) -> pd.DataFrame | None:
    if responses is None:
        return None
    own = responses.responses
    return own[own["kind"] == "main"]


def _imi_answers(path: Path) -> pd.DataFrame:
    main = include(responses_from_imi(read_imi(path)), IMI).main
    if main.empty:
        raise DataContractError(
            f"{path} holds no main trial of a session that IMI's criteria keep. Give"
            " 'responses_main.csv' of the release."
        )
    return main


def read_model_scores(path: Path) -> pd.DataFrame:
    """Read a score table, also in the form that the authors' scores are passed on in.

    That form is a CSV of GoogLeNet with a column 'layer' and the channel as 'unit'.
    """
    if path.suffix == ".csv":
        try:
            table = pd.read_csv(path)
        except (ValueError, UnicodeDecodeError):
            return read_score_table(path)
        own = {"layer", "unit", "mis"} <= set(table.columns)
        if own and pd.api.types.is_integer_dtype(table["unit"]):
            unit = "googlenet::" + table["layer"] + "::" + table["unit"].astype(str)
            return checked(pd.DataFrame({"unit": unit, "mis": table["mis"]}), MIS, path)
    return read_score_table(path)
