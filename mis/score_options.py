"""The options of ``unitscope score``, and which of them go together."""

import argparse
from pathlib import Path

from data.errors import DataContractError
from mis.encoders import ENCODERS
from mis.methods import METHODS
from mis.plan import DEFAULT_MEMORY


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        prog="unitscope score",
        description="Score every unit of a task set with the machine observer (MIS).",
        epilog="encoders: "
        + "; ".join(f"{name} ({one.summary})" for name, one in ENCODERS.items())
        + "; timm:NAME, torchvision:NAME or open_clip:NAME/WEIGHTS, each with @LAYER"
        " behind; module:function; entry points of the group unitscope.encoders",
    )
    parser.add_argument("tasks", type=Path, nargs="?", help="task set")
    parser.add_argument("--images", type=Path, help="image set of the tasks")
    parser.add_argument("--out", type=Path, help="folder for the scores")
    parser.add_argument(
        "--encoder", default="dreamsim", help="what compares images (default dreamsim)"
    )
    parser.add_argument(
        "--weights",
        type=Path,
        help="file or folder of the encoder's weights, or 'download' from its authors"
        " (DreamSim: default ~/.cache/dreamsim)",
    )
    parser.add_argument(
        "--tau",
        help="temperature in units of the similarity, above 0, or a file of 'unitscope"
        " fit', whose slope and offset are taken too (default 0.16, the MIS paper's for"
        " DreamSim; st-lpips 0.05; calibrated for DreamSim only)",
    )
    parser.add_argument(
        "--features",
        type=Path,
        help="folder of the feature store (default: features beside the image set)",
    )
    parser.add_argument(
        "--half", action="store_true", help="store features as float16, half the size"
    )
    _add_methods(parser)
    _add_kernel(parser)
    return parser


def _add_methods(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--margins",
        type=Path,
        metavar="SCORES",
        help="score again from the margins of these scores: no tasks, images or encoder"
        " are needed for another tau, fewer tasks or hard accuracy",
    )
    parser.add_argument(
        "--first", type=int, metavar="N", help="with --margins: first N tasks of a unit"
    )
    parser.add_argument(
        "--method", default="mis", choices=METHODS, help="how to score (default mis)"
    )
    parser.add_argument(
        "--recording", type=Path, help="recording of the tasks, where the method needs"
    )
    parser.add_argument(
        "--list-methods", action="store_true", help="tell what each method is"
    )


def _add_kernel(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--strategy",
        choices=["auto", "gather", "gram"],
        default="auto",
        help="how to compute margins (default: what moves fewer bytes)",
    )
    parser.add_argument(
        "--device", default="cpu", help="of torch, such as cuda (default cpu)"
    )
    parser.add_argument(
        "--memory",
        type=float,
        default=DEFAULT_MEMORY / 1e9,
        metavar="GB",
        help="memory for features and similarities (default %(default).3g GB)",
    )
    parser.add_argument(
        "--explain", action="store_true", help="say how margins are computed, and why"
    )


def check_arguments(arguments: argparse.Namespace) -> None:
    """Look for what the method needs.

    Raises
    ------
    DataContractError
        It is not given.
    """
    needs = METHODS[arguments.method].needs
    wanted: dict[str, bool] = {"--out": True}
    if arguments.margins:
        if needs != "margins":
            raise DataContractError(
                f"The method {arguments.method!r} needs {needs}; margins are enough for"
                " 'mis' and 'hard-accuracy' only. Give the tasks instead of --margins."
            )
    else:
        wanted |= {"TASKS": True, "--images": needs != "recording"}
        wanted["--recording"] = "recording" in needs
    for name, needed in wanted.items():
        given = getattr(arguments, name.strip("-").lower())
        if needed and given is None:
            raise DataContractError(
                f"{name} is not given; the method {arguments.method!r} needs it."
                " See unitscope score --help."
            )
