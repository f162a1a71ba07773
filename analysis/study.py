"""A study's report from the files that its user names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.agreement import Agreement, agreement
from analysis.blocks import Section
from analysis.calibration import calibration
from analysis.depth_section import depth_section
from analysis.group_sections import group_sections
from analysis.inclusion import read_criteria, study_criteria
from analysis.machine_sections import machine_sections
from analysis.model_sections import model_section
from analysis.multiverse import multiverse
from analysis.people_sections import people_sections
from analysis.planning_sections import plan_section, tau_section
from analysis.report import Report
from analysis.sections import multiverse_section
from analysis.wording import Check
from data.exclusion import IMI, ExclusionCriteria
from data.files import file_hash, folder_hash
from data.responses import Responses, read_responses
from data.scores import Scores, read_score_table, read_scores
from data.selections import read_selection


@dataclass(frozen=True, kw_only=True)
class StudyInputs:
    """What a report is made from.

    Attributes
    ----------
    responses : Path
    scores : tuple of Path
        The first is the study's; others are compared with it.
    selection : Path or None
        Groups of units; those of the responses otherwise.
    criteria : str
        As :func:`analysis.inclusion.read_criteria` takes it, or "study": those that
        the study was compiled with, and IMI's where the answers tell of none.
    explanation_method, difficulty : str or None
        The condition, where the responses mix several.
    min_r : float or None
        Least Pearson correlation that passes.
    """

    responses: Path
    scores: tuple[Path, ...]
    selection: Path | None = None
    criteria: str = "study"
    explanation_method: str | None = None
    difficulty: str | None = None
    min_r: float | None = None

    @property
    def paths(self) -> dict[str, Path]:
        """Each input by its kind."""
        named: dict[str, Path | None] = {
            "responses": self.responses,
            "scores": self.scores[0],
            "selection": self.selection,
        }
        for number, path in enumerate(self.scores[1:], start=2):
            named[f"scores {number}"] = path
        if self.criteria not in {"study", "imi", "none"}:
            named["criteria"] = Path(self.criteria)
        return {kind: path for kind, path in named.items() if path is not None}


def study_report(inputs: StudyInputs, *, seed: int) -> Report:
    """Read a study and compute its report."""
    named = inputs.criteria
    if named != "study":
        criteria = read_criteria(named)
    responses = read_responses(inputs.responses)
    if named == "study":
        own = study_criteria(responses)
        named, criteria = ("imi", IMI) if own is None else ("study", own)
    table = read_score_table(inputs.scores[0])
    found = agreement(
        responses,
        table,
        criteria=criteria,
        seed=seed,
        groups=_selected_groups(inputs.selection),
        explanation_method=inputs.explanation_method,
        difficulty=inputs.difficulty,
    )
    scores = read_scores(inputs.scores[0]) if inputs.scores[0].is_dir() else None
    main = found.inclusion.main
    return Report(
        agreement=found,
        calibration=None if scores is None else calibration(main, scores.tasks),
        checks=checks(found, inputs.min_r),
        machine=_machine(scores),
        seed=seed,
        criteria=named,
        inputs={kind: str(path) for kind, path in inputs.paths.items()},
        made_from={kind: fingerprint(path) for kind, path in inputs.paths.items()},
        sections=study_sections(
            responses,
            found,
            table,
            scores=scores,
            others=_named_scores(inputs.scores),
            criteria=criteria,
            seed=seed,
        ),
    )


def study_sections(
    responses: Responses,
    found: Agreement,
    table: pd.DataFrame,
    *,
    scores: Scores | None = None,
    others: Mapping[str, pd.DataFrame] | None = None,
    criteria: ExclusionCriteria,
    seed: int,
) -> tuple[Section, ...]:
    """Answer every further question of a report.

    Parameters
    ----------
    table : DataFrame
        'unit' and 'mis' of every unit that the machine scored.
    scores : Scores, optional
        Where they tell the probabilities of single tasks.
    others : mapping of name to DataFrame, optional
        Scores to compare, the study's own first.
    """
    own = responses.responses
    counted = found.inclusion.main
    own = own[
        own["session_id"].isin(counted["session_id"])
        & own["explanation_method"].isin(counted["explanation_method"].unique())
    ]
    outcomes = multiverse(
        found.inclusion,
        found.inclusion.complete,
        found.units,
        criteria=criteria,
        seed=seed,
    )
    tau = tau_section(found, scores, seed=seed)
    plan = plan_section(found)
    depth = depth_section(found.units, table, seed=seed)
    return (
        *machine_sections(found, table, scores, others or {}, seed=seed),
        *((tau,) if tau is not None else ()),
        *group_sections(found, seed=seed),
        *((depth,) if depth is not None else ()),
        *people_sections(found, own, seed=seed),
        model_section(found.inclusion.main),
        multiverse_section(outcomes),
        *((plan,) if plan is not None else ()),
    )


def _named_scores(paths: Sequence[Path]) -> dict[str, pd.DataFrame]:
    """Read the scores to compare, named by their files."""
    stems = [path.stem for path in paths]
    names = [
        stem if stems.count(stem) == 1 else f"{stem} ({number})"
        for number, stem in enumerate(stems, start=1)
    ]
    return {
        name: read_score_table(path) for name, path in zip(names, paths, strict=True)
    }


def checks(found: Agreement, min_r: float | None) -> tuple[Check, ...]:
    """Return what the user required."""
    if min_r is None:
        return ()
    return (
        Check(
            name="Pearson r of MIS and HIS",
            value=found.correlations[0].estimate,
            required=min_r,
        ),
    )


def fingerprint(path: Path) -> str:
    """Return the hash of a file or a folder."""
    return folder_hash(path) if path.is_dir() else file_hash(path)


def _selected_groups(path: Path | None) -> Mapping[str, str] | None:
    if path is None:
        return None
    units = read_selection(path).units
    return dict(zip(units["unit"], units["group"], strict=True))


def _machine(scores: Scores | None) -> str | None:
    """Say in words what gave the scores."""
    config = {} if scores is None else scores.header.config
    known = [f"{name} {config[name]}" for name in ("encoder", "tau") if name in config]
    return ", ".join(known) or None
