"""What is missing, repeated, leaking or unbalanced in a compiled study."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from data.studies import Study, StudyTrial, atlas_size, questions_match
from stimuli.check_atlases import AtlasFacts, atlas_facts
from stimuli.check_balance import unbalanced
from stimuli.check_findings import Finding, several
from stimuli.check_leaks import leaks

KINDS_IN_SLOTS = ("main", "catch", "instructed")


@dataclass(frozen=True)
class Checked:
    """The outcome of a check.

    Attributes
    ----------
    findings : tuple of Finding
        Empty for a clean study.
    facts : tuple of (str, str)
        What was looked at, and its value.
    """

    findings: tuple[Finding, ...]
    facts: tuple[tuple[str, str], ...]


def check_study(study: Study, advance: Callable[[], None] = lambda: None) -> Checked:
    """Look for all that would spoil a study's data.

    Parameters
    ----------
    advance : callable
        Told after each atlas.
    """
    atlases = {}
    for trial_id, trial in sorted(study.trials.items()):
        path = study.atlas_path(trial)
        if path.is_file():
            atlases[trial_id] = atlas_facts(path)
        advance()
    findings = chain(
        _missing(study, atlases),
        _repeated(study, atlases),
        leaks(study, atlases),
        unbalanced(study),
    )
    return Checked(tuple(findings), tuple(_facts(study, atlases)))


def _missing(study: Study, atlases: dict[str, AtlasFacts]) -> Iterator[Finding]:
    for trial_id, trial in sorted(study.trials.items()):
        if trial_id not in atlases:
            yield Finding("missing", f"atlases/{trial.atlas} of trial {trial_id}")
            continue
        facts = atlases[trial_id]
        if facts.sha256 != trial.atlas_sha256:
            yield Finding(
                "missing",
                f"atlases/{trial.atlas} is not the file that was compiled: its SHA-256"
                f" is {facts.sha256[:12]}…, not {trial.atlas_sha256[:12]}…",
            )
        if not facts.movable:
            yield Finding(
                "missing",
                f"atlases/{trial.atlas} is not in the form of an atlas, whose cells"
                " can change places",
            )
        expected = atlas_size(n_images=len(trial.task.images))
        if facts.size != expected:
            yield Finding(
                "missing",
                f"atlases/{trial.atlas} holds {facts.size} pixels, not {expected}",
            )
    yield from _missing_trials(study)
    for name in ("consent", "consent_version", "instructions", "debrief"):
        if not study.texts.get(name):
            yield Finding("missing", f"texts.json has no {name!r}")
    if not questions_match(study):
        yield Finding("missing", "the right options of the texts' questions")


def _missing_trials(study: Study) -> Iterator[Finding]:
    config = study.config
    if len(study.slots) != config.n_slots:
        yield Finding("missing", f"{len(study.slots)} slots of {config.n_slots}")
    asked = {
        "main": config.n_main_trials,
        "catch": config.n_catch_trials,
        "instructed": config.n_instructed_trials,
    }
    unknown, wrong = [], []
    for number, slot in enumerate(study.slots):
        known = [one for one in slot if one.trial_id in study.trials]
        if len(known) < len(slot):
            unknown.append(f"slot {number}")
        counts = Counter(study.trials[one.trial_id].kind for one in known)
        if counts != Counter({kind: n for kind, n in asked.items() if n}):
            wrong.append(f"slot {number} has {dict(sorted(counts.items()))}")
    yield from several("missing", "trials that a slot shows", unknown)
    yield from several("missing", f"not {asked} in each slot", wrong)
    practice = Counter(trial.obvious for trial in study.of_kind("practice"))
    for obvious, n, name in (
        (True, config.n_obvious_practice, "obvious"),
        (False, config.n_less_obvious_practice, "less obvious"),
    ):
        if practice[obvious] < n:
            yield Finding(
                "missing",
                f"{practice[obvious]} {name} practice trials; a round needs {n}",
            )
    if not study.of_kind("example"):
        yield Finding("missing", "an example for the instructions")


def _repeated(study: Study, atlases: dict[str, AtlasFacts]) -> Iterator[Finding]:
    names = Counter(trial.atlas for trial in study.trials.values())
    shared = [name for name, n in sorted(names.items()) if n > 1]
    yield from several("repeated", "an atlas file of more than one trial", shared)
    twice = []
    for number, slot in enumerate(study.slots):
        units = Counter(
            study.trials[one.trial_id].task.unit
            for one in slot
            if one.trial_id in study.trials
        )
        twice += [f"{unit} in slot {number}" for unit, n in units.items() if n > 1]
    yield from several("repeated", "a unit twice in a session", twice)
    kinds: dict[str, set[str]] = {}
    for trial in study.trials.values():
        kinds.setdefault(str(trial.task.unit), set()).add(trial.kind)
    more = [
        f"{unit} is {sorted(of)}" for unit, of in sorted(kinds.items()) if len(of) > 1
    ]
    yield from several("repeated", "a unit in trials of more than one kind", more)
    alike = [
        f"{trial_id} ({trial.kind})"
        for trial_id, trial in sorted(study.trials.items())
        if _has_repeated_image(trial, atlases.get(trial_id))
    ]
    yield from several("repeated", "an image that a trial shows twice", alike)


def _has_repeated_image(trial: StudyTrial, facts: AtlasFacts | None) -> bool:
    """Tell whether a trial shows an image twice; a catch trial has to, two of them."""
    images = trial.task.images
    allowed = len(images) - 2 if trial.kind == "catch" else len(images)
    if len(set(images)) < allowed:
        return True
    if facts is None or len(facts.cell_hashes) < len(images):
        return False
    cells = (
        trial.cells.positive_query,
        trial.cells.negative_query,
        *trial.cells.positive_explanations,
        *trial.cells.negative_explanations,
    )
    return len({facts.cell_hashes[cell] for cell in cells}) < allowed


def _facts(study: Study, atlases: dict[str, AtlasFacts]) -> Iterator[tuple[str, str]]:
    kinds: Counter[Literal["example", "practice", "main", "catch", "instructed"]]
    kinds = Counter(trial.kind for trial in study.trials.values())
    units = {trial.task.unit for trial in study.of_kind("main")}
    main = [
        study.trials[one.trial_id].task.unit
        for slot in study.slots
        for one in slot
        if one.trial_id in study.trials and study.trials[one.trial_id].kind == "main"
    ]
    shown = Counter(main).values()
    n_bytes = sum(facts.n_bytes for facts in atlases.values())
    yield "sessions", str(len(study.slots))
    yield (
        "trials a session",
        f"{study.config.n_main_trials} main, {study.config.n_catch_trials} catch,"
        f" {study.config.n_instructed_trials} instructed",
    )
    yield "units", f"{len(units)}, each shown {_span(shown)} times"
    yield (
        "different trials",
        ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())),
    )
    n_padding = sum(facts.n_padding for facts in atlases.values())
    share = n_padding / n_bytes if n_bytes else 0.0
    yield (
        "atlases",
        f"{len(atlases)}, {n_bytes / 1e6:.1f} MB, {share:.0%} of it padding to one"
        " size",
    )


def _span(counts: "object") -> str:
    values = list(counts)  # type: ignore[call-overload]
    if not values:
        return "0"
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"
