"""``unitscope record``: which images of a set drive every unit most and least."""

import argparse
import sys
from pathlib import Path

from data.command_line import add_seed, existing_path, progress, run_command
from data.errors import DataContractError
from data.images import read_image_set
from data.recordings import write_recording
from data.selections import read_unit_list
from data.units import UnitId

REDUCTION_NAMES = (
    "none, spatial_mean, spatial_mean_channels_last, token_mean,"
    " token_mean_tokens_first, class_token"
)


def build_parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="unitscope record",
        description="Run a network over an image set once and keep, for every unit of"
        " the layers named, the images that drive it most and least.",
    )
    parser.add_argument("--images", type=existing_path, help="folder of the image set")
    parser.add_argument(
        "--network",
        default="efficientnet-lite0",
        help="efficientnet-lite0 (default), -lite1, -lite2, or module:function that"
        " returns a torch module, or a pair of it and its preprocessing",
    )
    parser.add_argument(
        "--name", help="what units are called after (default: the network's name)"
    )
    parser.add_argument(
        "--layers", help="module paths between commas, such as _blocks.3,_blocks.10"
    )
    parser.add_argument(
        "--list-layers", action="store_true", help="print the network's layers and stop"
    )
    parser.add_argument(
        "--reduction",
        action="append",
        default=[],
        metavar="LAYER=NAME",
        help="how a layer's output becomes one number a channel, where the default for"
        f" its shape doesn't fit: {REDUCTION_NAMES}",
    )
    parser.add_argument(
        "--full",
        nargs="+",
        default=[],
        metavar="UNIT",
        help="units (model::layer::channel) whose activations to all images are kept,"
        " or files that list them in a column 'unit'; difficulties other than 'easy'"
        " need them",
    )
    parser.add_argument(
        "--n-extremes",
        type=int,
        default=200,
        help="images kept at each end: n_tasks * (n_explanations + 1) (default 200)",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        default=4,
        help="images a batch (default 4, the fastest on a CPU; a GPU wants 64 or more)",
    )
    parser.add_argument(
        "--device", default="cpu", help="of torch, such as cuda (default cpu)"
    )
    parser.add_argument(
        "--check-labels",
        action="store_true",
        help="print the top-1 of images whose label starts with a class index",
    )
    add_seed(parser)
    parser.add_argument("--out", type=Path, help="folder of the recording")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return run_command(build_parser(), _record, argv)


def _record(arguments: argparse.Namespace) -> int:
    if not arguments.list_layers:
        _check_given(arguments)
    # Late, so that --help and what is wrong with the options come at once.
    from stimuli.networks import layer_names, load_network
    from stimuli.record import RecordConfig, record

    network = load_network(arguments.network, name=arguments.name)
    if arguments.list_layers:
        kinds = dict(network.module.named_modules())
        for layer in layer_names(network.module):
            sys.stdout.write(f"{layer}  {type(kinds[layer]).__name__}\n")
        return 0
    images = read_image_set(arguments.images)
    config = RecordConfig(
        layers=tuple(layer.strip() for layer in arguments.layers.split(",")),
        n_extremes=arguments.n_extremes,
        reductions=dict(map(_reduction, arguments.reduction)),
        full=_full_units(arguments.full),
    )
    with progress() as bar:
        task = bar.add_task("Recording", total=len(images.image_ids))
        recording, check = record(
            images,
            network,
            config,
            seed=arguments.seed,
            batch_size=arguments.batch_size,
            device=arguments.device,
            check_labels=arguments.check_labels,
            advance=lambda n_images: bar.advance(task, n_images),
        )
    write_recording(arguments.out, recording)
    if check:
        print(f"top-1 {check.n_right} of {check.n_labelled} labelled photographs")
    print(
        f"{len(recording.units):,} units of {len(config.layers)} layers,"
        f" {config.n_extremes} images at each end of {len(images.image_ids):,}"
    )
    print(f"Recording: {arguments.out}")
    return 0


def _check_given(arguments: argparse.Namespace) -> None:
    for option in ("images", "layers", "out"):
        if not getattr(arguments, option):
            raise DataContractError(
                f"'--{option}' is missing; a recording needs it."
                " See unitscope record --help; --list-layers prints the layers."
            )


def _reduction(text: str) -> tuple[str, str]:
    layer, equals, name = text.rpartition("=")
    if not equals or not layer:
        raise DataContractError(
            f"'--reduction' is {text!r}; it must be LAYER=NAME, such as"
            " encoder.ln=class_token."
        )
    return layer, name


def _full_units(given: list[str]) -> tuple[UnitId, ...]:
    units: list[UnitId] = []
    for text in given:
        is_file = "::" not in text
        units += read_unit_list(Path(text)) if is_file else [UnitId.parse(text)]
    return tuple(dict.fromkeys(units))
