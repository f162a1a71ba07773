"""Whether anything that leaves the server tells the answer."""

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from data.studies import (
    Presentation,
    Study,
    StudyTrial,
    cell_position,
    correct_row,
    n_cells,
)
from stimuli.check_atlases import AtlasFacts
from stimuli.check_findings import Finding, several

ANSWER_WORDS = (
    "positive",
    "negative",
    "maximum",
    "minimum",
    "max",
    "min",
    "catch",
    "activation",
)
"""Words that no participant's text and no file name may hold before an answer."""

SIGNIFICANCE_LEVEL = 1e-4
"""Of each test; a clean study is called leaking about once in a thousand checks."""

_OPAQUE = re.compile(r"[0-9a-f]{16,64}\.jpg")
_LEAST_TRIALS = 10


def leaks(study: Study, atlases: dict[str, AtlasFacts]) -> Iterator[Finding]:
    """Yield all that gives an answer away."""
    yield from _names(study)
    yield from _texts(study)
    yield from _files(study)
    yield from _metadata(study, atlases)
    yield from _cells(study)
    yield from _presentations(study, atlases)


def _names(study: Study) -> Iterator[Finding]:
    telling = [
        name
        for name in sorted(trial.atlas for trial in study.trials.values())
        if not _OPAQUE.fullmatch(name)
    ]
    yield from several("leaking", "an atlas name that may tell something", telling)


def _texts(study: Study) -> Iterator[Finding]:
    pages = study.texts.get("instructions", [])
    shown = [study.config.title, str(study.texts.get("consent", ""))]
    shown += [str(page.get("text", "")) for page in pages]
    models = {trial.task.unit.model for trial in study.trials.values()}
    layers = {trial.task.unit.layer for trial in study.trials.values()}
    # A layer called 'head' or 'features' is also a word that a text may need.
    names = sorted(name for name in models | layers if not name.isalpha())
    words = [*ANSWER_WORDS, *names]
    pattern = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, words))})(?!\w)", re.I)
    found = sorted(
        {match.group(0) for text in shown for match in pattern.finditer(text)}
    )
    yield from several("leaking", "a text before the answers says", found)


def _files(study: Study) -> Iterator[Finding]:
    known = {"study.json", "texts.json", "server/trials.json", "server/slots.json"}
    known |= {"server/comprehension.json"} if study.comprehension else set()
    known |= {f"atlases/{trial.atlas}" for trial in study.trials.values()}
    found = {
        path.relative_to(study.folder).as_posix()
        for path in study.folder.rglob("*")
        if path.is_file()
    }
    yield from several("leaking", "a file that no study has", sorted(found - known))
    units = {str(trial.task.unit) for trial in study.trials.values()}
    answers = units | set(study.trials) | {one.atlas for one in study.trials.values()}
    for name in ("study.json", "texts.json"):
        text = (study.folder / name).read_text(encoding="utf-8")
        inside = [answer for answer in sorted(answers) if answer in text]
        yield from several("leaking", f"{name} outside 'server' names", inside)


def _metadata(study: Study, atlases: dict[str, AtlasFacts]) -> Iterator[Finding]:
    with_more = [
        f"atlases/{study.trials[trial_id].atlas} has {', '.join(facts.metadata)}"
        for trial_id, facts in sorted(atlases.items())
        if facts.metadata
    ]
    yield from several("leaking", "metadata", with_more)
    settings = {facts.encoding for facts in atlases.values()}
    if len(settings) > 1:
        yield Finding("leaking", f"atlases of {len(settings)} encoder settings")
    sizes = {facts.n_bytes for facts in atlases.values()}
    if len(sizes) > 1:
        yield Finding("leaking", f"atlases of {len(sizes)} sizes in bytes")


def _cells(study: Study) -> Iterator[Finding]:
    """Test whether the cell of an image tells its part in the trial."""
    by_size: dict[int, list[StudyTrial]] = {}
    for _, trial in sorted(study.trials.items()):
        by_size.setdefault(len(trial.task.images), []).append(trial)
    for n_images, trials in by_size.items():
        if len(trials) < _LEAST_TRIALS:
            continue
        cells_in_all = n_cells(n_images=n_images)
        cells = np.array(
            [
                [
                    one.cells.positive_query,
                    one.cells.negative_query,
                    _mean(one.cells.positive_explanations),
                    _mean(one.cells.negative_explanations),
                ]
                for one in trials
            ]
        )
        for column, name in ((0, "a positive query"), (1, "a negative query")):
            counts = np.bincount(cells[:, column].astype(int), minlength=cells_in_all)
            p = float(stats.chisquare(counts).pvalue)
            yield from _verdict(f"the cell of {name} is not random", p)
        for first, name in ((0, "the two queries"), (2, "the explanations")):
            p = _paired(cells[:, first] - cells[:, first + 1])
            yield from _verdict(f"the cells of {name} tell their polarity", p)


def _presentations(study: Study, atlases: dict[str, AtlasFacts]) -> Iterator[Finding]:
    """Test whether what is sent with a trial tells the correct row."""
    shown = [
        (position, one, study.trials[one.trial_id])
        for slot in study.slots
        for position, one in enumerate(slot)
        if one.trial_id in atlases and study.trials[one.trial_id].kind != "instructed"
    ]
    if len(shown) < _LEAST_TRIALS:
        return
    upper_is_correct = np.array(
        [correct_row(trial, one) == "upper" for _, one, trial in shown]
    )
    features = {
        "the position in the session": [position for position, _, _ in shown],
    }
    placed = np.array([_sent_positions(trial, one) for _, one, trial in shown])
    names = ("upper query", "lower query", "left examples", "right examples")
    for column, name in enumerate(names):
        features[f"the place of the {name} in the atlas"] = list(placed[:, column])
    features["the order of the queries in the atlas"] = list(
        placed[:, 0] - placed[:, 1]
    )
    for name, values in features.items():
        p = _difference(np.asarray(values, float), upper_is_correct)
        yield from _verdict(f"{name} tells the correct row", p)


def _sent_positions(trial: StudyTrial, one: Presentation) -> Sequence[float]:
    """Return where the images of a trial as sent lie, in reading order."""
    left = "negative" if one.right_polarity == "positive" else "positive"
    cells = (
        [trial.cells.query(one.shown("upper"))],
        [trial.cells.query(one.shown("lower"))],
        trial.cells.explanations("positive" if left == "positive" else "negative"),
        trial.cells.explanations(one.right_polarity),
    )
    return [_mean([_reading_order(cell) for cell in own]) for own in cells]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def _reading_order(cell: int) -> float:
    left, top = cell_position(cell)
    return top * 1e4 + left


def _difference(values: NDArray[np.floating], group: NDArray[np.bool_]) -> float:
    if group.all() or not group.any() or np.ptp(values) == 0:
        return 1.0
    return float(stats.mannwhitneyu(values[group], values[~group]).pvalue)


def _paired(differences: NDArray[np.floating]) -> float:
    return float(stats.wilcoxon(differences).pvalue) if differences.any() else 1.0


def _verdict(what: str, p: float) -> Iterator[Finding]:
    if p < SIGNIFICANCE_LEVEL:
        yield Finding("leaking", f"{what} (p = {p:.1g})")
