"""Whether a study has all that serving it takes; said before anyone joins."""

from pathlib import Path

from data.errors import ExperimentError
from data.files import file_hash
from data.studies import Study, questions_match
from experiment_server.presentations import draw_practice, session_rng

PAGE_FILES = ("study.js", "study.css")
BUNDLE = Path(__file__).parent / "static" / "bundle"


def check_ready(study: Study) -> None:
    """Check that every screen of a session can be made.

    Raises
    ------
    ExperimentError
        A trial, an atlas or a text that some session would need is missing.
    """
    config = study.config
    if not study.slots or not all(study.slots):
        raise _lacks(study, "its slots hold no trials")
    if not study.of_kind("example"):
        raise _lacks(study, "it has no 'example' trial for the instructions")
    for key in ("consent", "consent_version", "instructions", "debrief"):
        if not study.texts.get(key):
            raise _lacks(study, f"texts.json has no {key!r}")
    if not questions_match(study):
        raise _lacks(study, "its questions and their right options don't match")
    drawn = draw_practice(study, session_rng(study, None, "practice"))
    needed = config.n_obvious_practice + config.n_less_obvious_practice
    if len(drawn) < needed:
        raise _lacks(
            study,
            f"its practice trials are too few for a round of"
            f" {config.n_obvious_practice} obvious and"
            f" {config.n_less_obvious_practice} less obvious ones",
        )
    unknown = {
        one.trial_id for slot in study.slots for one in slot
    } - study.trials.keys()
    if unknown:
        raise _lacks(study, f"its slots name the unknown trial {min(unknown)!r}")
    for trial in study.trials.values():
        path = study.atlas_path(trial)
        if not path.is_file() or file_hash(path) != trial.atlas_sha256:
            raise _lacks(study, f"{path} is missing or was changed")


def check_page() -> None:
    """Check that the browser's part was built.

    Raises
    ------
    ExperimentError
        It was not.
    """
    for name in PAGE_FILES:
        if not (BUNDLE / name).is_file():
            raise ExperimentError(
                f"{BUNDLE / name} does not exist; it is the page that participants"
                " see. Build it with: make setup"
            )


def _lacks(study: Study, what: str) -> ExperimentError:
    return ExperimentError(
        f"The study {study.folder} can't be served: {what}. Run 'unitscope check' on"
        " it, and compile it again."
    )
