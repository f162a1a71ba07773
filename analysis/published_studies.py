"""The published studies put to the analysis: claims, cells, models, whole reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.agreement import agreement
from analysis.blocks import Section
from analysis.cells import cells
from analysis.claims import published_claims
from analysis.claims_page import ClaimsReport
from analysis.evidence import IMI_MODELS, Evidence, read_evidence, read_experiments
from analysis.his import human_interpretability
from analysis.imi_models import compare_answered_models, compare_published_models
from analysis.inclusion import NO_CRITERIA
from analysis.published_sections import (
    cells_section,
    models_section,
    within_section,
)
from analysis.report import Report
from analysis.study import fingerprint, study_sections
from analysis.within import compare_paired, compare_within, participant_scores
from data.published import read_borowski2021, read_claims, read_imi_model_scores
from data.responses import Responses


@dataclass(frozen=True, kw_only=True)
class PublishedInputs:
    """What the user gave to check claims on.

    Attributes
    ----------
    borowski : Path or None
        Folder with raw CSVs.
    imi : Path or None
    scores : tuple of Path
    """

    borowski: Path | None = None
    imi: Path | None = None
    scores: tuple[Path, ...] = ()

    @property
    def paths(self) -> dict[str, Path]:
        """Each input by its kind."""
        named = {"borowski": self.borowski, "imi": self.imi}
        given = {kind: path for kind, path in named.items() if path is not None}
        return given | {
            f"scores {number}": path for number, path in enumerate(self.scores, start=1)
        }


def claims_report(
    inputs: PublishedInputs, *, seed: int, with_studies: bool
) -> ClaimsReport:
    """Check every claim on what ships and what was given.

    Parameters
    ----------
    with_studies : bool
        Whether to compute the whole report of each study whose answers are given.
    """
    experiments = read_experiments(inputs.borowski)
    evidence = read_evidence(
        experiments=experiments, imi=inputs.imi, scores=inputs.scores
    )
    made_from = {kind: fingerprint(path) for kind, path in inputs.paths.items()}
    return ClaimsReport(
        claims=tuple(published_claims(read_claims(), evidence, seed=seed)),
        sections=published_sections(evidence, experiments, seed=seed),
        reports=_study_reports(experiments, evidence, inputs, made_from, seed)
        if with_studies
        else {},
        inputs={kind: str(path) for kind, path in inputs.paths.items()},
        made_from=made_from,
        seed=seed,
    )


def published_sections(
    evidence: Evidence, experiments: Mapping[str, Responses], *, seed: int
) -> tuple[Section, ...]:
    """Show models, and the cells of the experiments that were given."""
    published = read_imi_model_scores().table
    if evidence.imi is None:
        models = compare_published_models(published, seed=seed)
    else:
        models = compare_answered_models(evidence.imi, model_names(), seed=seed)
    sections = [models_section(models)]
    if experiments:
        main = pd.concat(
            [_main(one) for one in experiments.values()], ignore_index=True
        )
        notes = [note for one in experiments.values() for note in one.notes]
        sections.append(cells_section(cells(main), notes))
    if evidence.borowski_experiment1 is not None:
        sections.append(_within(evidence.borowski_experiment1, seed))
    return tuple(sections)


def _within(main: pd.DataFrame, seed: int) -> Section:
    rng = np.random.default_rng(seed)
    his = [
        human_interpretability(own).assign(explanation_method=method)
        for method, own in main.groupby("explanation_method")
        if method != "none"
    ]
    return within_section(
        compare_within(participant_scores(main), rng=rng),
        compare_paired(
            pd.concat(his, ignore_index=True), "natural", "synthetic", rng=rng
        ),
    )


def model_names() -> dict[str, str]:
    """Return each model's name in the paper by its name in the release."""
    names = (
        "GoogLeNet",
        "DenseNet",
        "ResNet",
        "Robust ResNet",
        "Clip ResNet",
        "WideResNet",
        "ViT",
        "Clip ViT",
        "ConvNeXT",
    )
    return dict(zip(IMI_MODELS, names, strict=True))


def _main(responses: Responses) -> pd.DataFrame:
    own = responses.responses
    return own[own["kind"] == "main"]


def _study_reports(
    experiments: Mapping[str, Responses],
    evidence: Evidence,
    inputs: PublishedInputs,
    made_from: Mapping[str, str],
    seed: int,
) -> dict[str, Report]:
    """Report Experiment I as any study, for each kind of explanation.

    Experiment II mixes displays within a participant, and its cells are above.
    """
    if "I" not in experiments:
        return {}
    shipped = read_borowski2021().table
    reports = {}
    for method in ("natural", "synthetic"):
        table = shipped[shipped["explanation_method"] == method]
        found = agreement(
            experiments["I"],
            table,
            criteria=NO_CRITERIA,
            seed=seed,
            explanation_method=method,
        )
        reports[f"experiment_1_{method}"] = Report(
            agreement=found,
            calibration=None,
            checks=(),
            machine="the authors’ scores (DreamSim, natural explanations)",
            seed=seed,
            criteria="none",
            inputs={"responses": str(inputs.borowski)},
            made_from={"responses": made_from["borowski"]},
            sections=study_sections(
                experiments["I"],
                found,
                table if evidence.googlenet_mis is None else evidence.googlenet_mis,
                criteria=NO_CRITERIA,
                seed=seed,
            ),
        )
    return reports
