"""``unitscope compile``: tasks to a self-contained study."""

import argparse
import secrets
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.command_line import existing_path, progress, run_command
from data.errors import DataContractError
from data.files import folder_hash
from data.formats import read_header
from data.images import read_image_set
from data.recordings import VERSIONS
from data.scores import read_scores
from data.selections import read_selection
from data.studies import IMI_PRESET, StudyConfig, read_study
from data.tasks import read_tasks
from stimuli.check import check_study
from stimuli.check_command import report
from stimuli.compile import Materials, compile_study
from stimuli.compile_imi_form import write_imi_form
from stimuli.compile_texts import LANGUAGES, language_defaults

PRESETS: dict[str, dict[str, Any]] = {"imi": IMI_PRESET}

OPTIONS: dict[str, tuple[str, type, str]] = {
    "--study-id": ("study_id", str, "small letters, digits and hyphens"),
    "--language": ("language", str, "of texts and page: en or de (default en)"),
    "--title": ("title", str, "shown to participants"),
    "--contact": ("contact", str, "whom participants can ask"),
    "--slots": ("n_slots", int, "sessions to fill with valid data"),
    "--main-trials": ("n_main_trials", int, "per session"),
    "--catch-trials": ("n_catch_trials", int, "per session"),
    "--instructed-trials": ("n_instructed_trials", int, "per session"),
    "--practice-rounds": ("max_practice_rounds", int, "attempts at the practice"),
    "--confidence-levels": ("confidence_levels", int, "2 to 6"),
    "--sides": ("sides", str, "balanced, or fixed: positive always right"),
    "--feedback": ("feedback", str, "practice, all or none"),
    "--lock": ("lock_ms", int, "ms after onset before an answer is taken"),
    "--break-every": ("break_every", int, "main trials between breaks"),
}
"""Option to setting; every setting can also stand in the file of ``--config``."""


def build_parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="unitscope compile",
        description="Compile a study: all that a server, a lab or an archive needs.",
    )
    parser.add_argument("tasks", type=existing_path, help="folder of the tasks")
    parser.add_argument(
        "--images", type=existing_path, required=True, help="folder of the image set"
    )
    parser.add_argument(
        "--selection",
        type=existing_path,
        required=True,
        help="folder that 'unitscope select' wrote",
    )
    parser.add_argument(
        "--scores",
        type=existing_path,
        required=True,
        help="folder that 'unitscope score' wrote; chooses practice and catch trials",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the study")
    parser.add_argument(
        "--recording", type=existing_path, help="tells the study which network it is"
    )
    parser.add_argument(
        "--tasks-per-unit", type=int, help="of each unit's tasks; IMI: 11 (default all)"
    )
    parser.add_argument(
        "--imi-form", type=Path, metavar="DIR", help="also write the folders that IMI's"
        " own page reads; they hold the answers in their file names"
    )  # fmt: skip
    parser.add_argument("--config", type=existing_path, help="a TOML file of settings")
    parser.add_argument("--preset", choices=sorted(PRESETS), help="settings of a study")
    for option, (name, kind, meaning) in OPTIONS.items():
        parser.add_argument(
            option, dest=f"set_{name}", type=kind, metavar=kind.__name__.upper(),
            help=meaning,
        )  # fmt: skip
    parser.add_argument(
        "--seed",
        type=int,
        help="seed of all that is random (default: drawn, and kept in study.json); who"
        " knows it can compute sides and rows of the main trials",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return run_command(build_parser(), _compile, argv)


def _compile(arguments: argparse.Namespace) -> int:
    config = study_config(arguments)
    materials = read_materials(arguments)
    with progress() as bar:
        task = bar.add_task("Drawing atlases", total=None)
        compile_study(
            arguments.out,
            materials,
            config,
            seed=secrets.randbits(62) if arguments.seed is None else arguments.seed,
            tasks_per_unit=arguments.tasks_per_unit,
            advance=lambda n_trials: bar.update(task, advance=1, total=n_trials),
        )
    study = read_study(arguments.out)
    if arguments.imi_form:
        n_files = write_imi_form(arguments.imi_form, study, materials.images)
        sys.stdout.write(f"IMI's form: {arguments.imi_form} ({n_files} images)\n")
    with progress() as bar:
        task = bar.add_task("Checking the study", total=len(study.trials))
        checked = check_study(study, advance=lambda: bar.advance(task))
    sys.stdout.write(report(checked))
    sys.stdout.write(f"Study: {arguments.out}\n")
    return 1 if checked.findings else 0


def study_config(arguments: argparse.Namespace) -> StudyConfig:
    """Return the settings: the preset, then the file, then the options.

    Raises
    ------
    DataContractError
        A setting is missing, unknown or out of range, or the file is not TOML.
    """
    settings: dict[str, Any] = dict(PRESETS.get(arguments.preset, {}))
    if arguments.config:
        settings |= _read_toml(arguments.config)
    given = {name: getattr(arguments, f"set_{name}") for name, _, _ in OPTIONS.values()}
    settings |= {name: value for name, value in given.items() if value is not None}
    language = settings.get("language", "en")
    if language in LANGUAGES:
        settings = language_defaults(language) | settings
    required = {"study_id": "--study-id", "n_slots": "--slots",
                "n_main_trials": "--main-trials"}  # fmt: skip
    for name, option in required.items():
        if name not in settings:
            raise DataContractError(
                f"{name!r} is not set; a study needs it. Give {option}, or name it in"
                " the file of --config."
            )
    return StudyConfig.of(settings, arguments.config or "The options")


def read_materials(arguments: argparse.Namespace) -> Materials:
    """Read what a study is compiled from.

    Raises
    ------
    DataContractError
        One of it is missing, broken, or not made from the others.
    """
    images = read_image_set(arguments.images)
    made_from = {
        "tasks": folder_hash(arguments.tasks),
        "images": images.fingerprint,
        "selection": folder_hash(arguments.selection),
        "scores": folder_hash(arguments.scores),
    }
    tasks = read_tasks(arguments.tasks)
    network: Mapping[str, Any] = {}
    if arguments.recording:
        header, _ = read_header(
            arguments.recording / "recording.json",
            format="recording",
            versions=VERSIONS,
        )
        made_from["recording"] = folder_hash(arguments.recording)
        if tasks.header.made_from.get("recording") != made_from["recording"]:
            raise DataContractError(
                f"{arguments.recording} is not the recording that {arguments.tasks}"
                " were drawn from. Give that one, or leave --recording out."
            )
        network = header.config
    return Materials(
        tasks=tasks,
        images=images,
        selection=read_selection(arguments.selection),
        scores=read_scores(arguments.scores),
        made_from=made_from,
        network=network,
    )


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataContractError(
            f"{path} is not TOML ({error}). Mend the line, one 'name = value' each."
        ) from error
