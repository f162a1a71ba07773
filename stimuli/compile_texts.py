"""What a study tells its participants, filled in from its settings."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from data.errors import DataContractError
from data.files import bytes_hash
from data.studies import StudyConfig

TEXTS = Path(__file__).parent / "study_texts"

LANGUAGES = tuple(sorted(path.parent.name for path in TEXTS.glob("*/words.toml")))
"""Languages that a study can be in."""

INSTRUCTIONS = {"own": "instructions.md", "imi": "instructions_imi.md"}
"""File of each kind of instructions."""

HIGHLIGHTS = (
    "none",
    "left",
    "right",
    "queries",
    "question",
    "upper_buttons",
    "lower_buttons",
    "confidence",
    "frame",
    "verdict",
)
"""Parts of the trial that a page of the instructions can point at."""

INSTRUCTION_TIME_S = 100
TRIAL_TIME_S = 8.5
"""IMI's sessions of 45 trials took 390 to 628 s, 70 to 127 s of it instructions."""


@dataclass(frozen=True)
class Page:
    """One page of the instructions.

    Attributes
    ----------
    text : str
        Paragraphs separated by an empty line; **bold** is the only markup.
    highlight : str
        One of :data:`HIGHLIGHTS`.
    """

    text: str
    highlight: str


def study_texts(
    config: StudyConfig, n_explanations: int, explanation_method: str = "natural"
) -> dict[str, Any]:
    """Return all texts of a study, as they are shown.

    Returns
    -------
    dict
        'consent', 'consent_version' (changes with every word of the consent),
        'instructions' (list of 'text' and 'highlight'), 'debrief', 'withdrawal', and
        'comprehension' (list of 'question' and 'options') where the study asks.
    """
    folder = TEXTS / config.language
    words = _words(config, n_explanations)
    consent = _filled(folder / "consent.md", words)
    texts = {
        "consent": consent,
        "consent_version": bytes_hash(consent.encode())[:12],
        "instructions": [
            {"text": page.text, "highlight": page.highlight}
            for page in instruction_pages(
                _filled(folder / INSTRUCTIONS[config.instructions], words),
                _situation(config, explanation_method),
            )
        ],
        "debrief": _filled(folder / "debrief.md", words),
        "withdrawal": _filled(folder / "withdrawal.md", words),
    }
    asked = _questions(config)
    shown = [{"question": one["text"], "options": one["options"]} for one in asked]
    return texts | ({"comprehension": shown} if shown else {})


def right_options(config: StudyConfig) -> list[int]:
    """Return the right option of each question about the instructions, from 0."""
    return [int(one["right"]) for one in _questions(config)]


def _questions(config: StudyConfig) -> list[dict[str, Any]]:
    if not config.comprehension:
        return []
    path = TEXTS / config.language / "comprehension.toml"
    found: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))[
        "question"
    ]
    return found


def language_defaults(language: str) -> dict[str, str]:
    """Return the settings that are words: what a study says if it sets no others."""
    words = _language_words(language)
    return {"title": words["title"], "contact": words["contact"]}


def expected_minutes(config: StudyConfig) -> int:
    """Return how long a session takes by IMI's pace, rounded up."""
    n_trials = _n_trials(config) + _n_practice(config)
    return int(-(-(INSTRUCTION_TIME_S + TRIAL_TIME_S * n_trials) // 60))


def instruction_pages(text: str, situation: dict[str, str]) -> list[Page]:
    """Cut the instructions into pages and keep those that fit the study.

    A line ``---`` ends a page. A page begins with ``highlight: NAME``; the line
    ``only: NAME VALUE`` keeps it for studies of that kind.

    Raises
    ------
    DataContractError
        A page has no highlight, or one that the participant's page doesn't know.
    """
    pages = []
    for part in text.split("\n---\n"):
        head, _, body = part.strip().partition("\n\n")
        marks = dict(line.split(": ", 1) for line in head.splitlines())
        if marks.get("highlight") not in HIGHLIGHTS:
            raise DataContractError(
                f"A page of the instructions has the highlight"
                f" {marks.get('highlight')!r}; it must be one of {HIGHLIGHTS}."
            )
        name, _, value = marks.get("only", "").partition(" ")
        if not name or situation[name] == value:
            pages.append(Page(body.strip(), marks["highlight"]))
    return pages


def _filled(path: Path, words: dict[str, str]) -> str:
    return Template(path.read_text(encoding="utf-8")).substitute(words).strip()


def _language_words(language: str) -> dict[str, Any]:
    path = TEXTS / language / "words.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _words(config: StudyConfig, n_explanations: int) -> dict[str, str]:
    words = _language_words(config.language)
    return {
        "n_trials": str(_n_trials(config)),
        "minutes": str(expected_minutes(config)),
        "contact": config.contact,
        "n_explanations": str(n_explanations),
        "confidence_levels": str(config.confidence_levels),
        "practice": _count(_n_practice(config), words["practice"]),
        "attempts": _count(config.max_practice_rounds, words["attempts"]),
        "checks": words["checks"][_checks(config)],
    }


def _checks(config: StudyConfig) -> str:
    """Return which kinds of trials check attention, as words.toml calls it."""
    if not config.n_instructed_trials:
        return "catch" if config.n_catch_trials else "none"
    return "both" if config.n_catch_trials else "instructed"


def _count(n: int, forms: dict[str, str]) -> str:
    return Template(forms["one" if n == 1 else "many"]).substitute(n=n)


def _situation(config: StudyConfig, explanation_method: str) -> dict[str, str]:
    return {
        "keys": "yes" if config.keys else "no",
        "method": "natural" if explanation_method == "natural" else "synthetic",
        "feedback": config.feedback,
        "instructed": "yes" if config.n_instructed_trials else "no",
    }


def _n_trials(config: StudyConfig) -> int:
    return config.n_main_trials + config.n_catch_trials + config.n_instructed_trials


def _n_practice(config: StudyConfig) -> int:
    return config.n_obvious_practice + config.n_less_obvious_practice
