"""``unitscope record``: which images of a set drive every unit most and least."""

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from data.command_line import (
    add_cluster,
    add_seed,
    existing_path,
    progress,
    run_command,
    say,
)
from data.errors import DataContractError
from data.images import ImageSet, read_image_set
from data.recordings import Recording, write_recording
from data.selections import read_unit_list
from data.units import UnitId

if TYPE_CHECKING:
    from stimuli.directions import DirectionSet
    from stimuli.networks import Network
    from stimuli.record_config import Job, LabelCheck

REDUCTION_NAMES = (
    "none, spatial_mean, spatial_mean_channels_last, token_mean,"
    " token_mean_tokens_first, class_token"
)

_EPILOG = """\
layers:
  conv1,layer4.2.conv3      module paths, between commas (--list-layers prints them)
  blocks.*.conv*            patterns: * stands for any text, ? for any letter
  @conv @linear @norm       all convolutions, linear layers, normalisation
  @block                    outputs of blocks: items of a Sequential or ModuleList that
                            hold convolutions or linear layers
  @all                      these four together
  relu#2                    a module's second run on an image; patterns take every run
  lstm[0], out[logits]      an element of a tuple or mapping; patterns take every one
A module that stands under two paths goes by the first.

directions (--directions LAYER=FILE), recorded without storing activations:
  .npy                      (n_units, channels): one direction a row
  .npz .pt .pth .safetensors  'directions', or a sparse autoencoder's 'W_enc'
                            (channels, n_units), 'b_enc' and, taken off first, 'b_dec'
                            (or 'encoder.weight', 'encoder.bias', 'pre_bias'); with
                            'r_mag', 'b_mag', 'b_gate' it is gated (without 'b_enc'),
                            with 'k' top-k, with 'threshold' JumpReLU
Their units are model::LAYER/FILE::index, FILE without its ending.

several networks: give --network, and --layers, --name, --weights, as often as there are
networks (or once for all); every image is decoded once; --out holds a folder for each.
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="unitscope record",
        description="Run a network over an image set once and keep, for every unit of"
        " the layers named, the images that drive it most and least.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--images", type=existing_path, help="folder of the image set")
    parser.add_argument(
        "--network",
        action="append",
        help="efficientnet-lite0 (default), -lite1, -lite2; timm:NAME,"
        " torchvision:NAME or open_clip:NAME/WEIGHTS; or module:function that returns"
        " a torch module, or a pair of it and its preprocessing",
    )
    parser.add_argument(
        "--weights",
        action="append",
        metavar="FILE|download|random",
        help="of networks from timm, torchvision and open_clip; for other networks a"
        " file with a state dict to put into them",
    )
    parser.add_argument(
        "--name",
        action="append",
        help="what units are called after (default: the network's name)",
    )
    parser.add_argument(
        "--layers",
        action="append",
        help="names, patterns or groups between commas, such as @conv or"
        " _blocks.3,_blocks.*._bn2; see below",
    )
    parser.add_argument(
        "--directions",
        action="append",
        default=[],
        metavar="LAYER=FILE",
        help="directions of a layer or a sparse autoencoder whose units to record; see"
        " below",
    )
    parser.add_argument(
        "--directions-reduction",
        choices=("mean", "max", "first"),
        default="mean",
        help="of a direction's values at the places of a map: their mean (default),"
        " their highest, or 'first': reduce the layer, then encode",
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
        help="images a batch (default 4, the fastest on a CPU, and 64 on other"
        " devices); halved where the memory does not suffice",
    )
    parser.add_argument(
        "--device", default="cpu", help="of torch, such as cuda (default cpu)"
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16", "float16"),
        default="float32",
        help="of the network (default float32); the others exchange some of the"
        " extreme images: benchmarks/record.py counts how many",
    )
    parser.add_argument(
        "--map-statistics",
        action="store_true",
        help="record each unit's sparsity within maps and local contrast too (slower)",
    )
    parser.add_argument(
        "--workers", type=int, default=4, help="threads that decode (default 4)"
    )
    parser.add_argument(
        "--checkpoint-minutes",
        type=float,
        default=5.0,
        metavar="MINUTES",
        help="how much a kill may lose (default 5): state is kept in"
        " OUT.unfinished.npz, and the same command goes on from there",
    )
    add_cluster(parser)
    parser.add_argument(
        "--shard-images",
        type=int,
        default=8192,
        metavar="N",
        help="with --cluster: images that a worker records at a time (default 8192);"
        " OUT.shards keeps each, and the same command goes on from there",
    )
    parser.add_argument(
        "--memory",
        type=float,
        metavar="GB",
        help="most that may be held (default: what is free)",
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
    networks = _networks(arguments)
    if arguments.list_layers:
        for network in networks:
            for layer, module in network.module.named_modules():
                if layer:
                    sys.stdout.write(f"{layer}  {type(module).__name__}\n")
        return 0
    images = read_image_set(arguments.images)
    outs = _outs(arguments.out, networks)
    jobs = _jobs(arguments, networks, outs)
    made = (_on_cluster if arguments.cluster else _here)(arguments, images, jobs, outs)
    for job, out, (recording, check) in zip(jobs, outs, made, strict=True):
        write_recording(out, recording)
        if job.checkpoint:
            job.checkpoint.remove()
        shutil.rmtree(_shards(out), ignore_errors=True)
        if check:
            print(f"top-1 {check.n_right} of {check.n_labelled} labelled photographs")
        _print_made(recording, images, out)
    return 0


def _here(
    arguments: argparse.Namespace,
    images: ImageSet,
    jobs: list["Job"],
    _outs: list[Path],
) -> list[tuple[Recording, "LabelCheck | None"]]:
    from stimuli.record import record_together

    with progress() as bar:
        task = bar.add_task("Recording", total=len(images.image_ids))
        return record_together(
            images,
            jobs,
            seed=arguments.seed,
            batch_size=_batch_size(arguments),
            device=arguments.device,
            workers=arguments.workers,
            advance=lambda n_images: bar.advance(task, n_images),
            tell=say,
        )


def _on_cluster(
    arguments: argparse.Namespace,
    images: ImageSet,
    jobs: list["Job"],
    outs: list[Path],
) -> list[tuple[Recording, "LabelCheck | None"]]:
    from stimuli.cluster import Source, open_cluster, record_on_cluster

    given = arguments.network or ["efficientnet-lite0"]
    weights = _for_each("weights", arguments.weights, given)
    made = []
    with open_cluster(arguments.cluster) as client, progress() as bar:
        task = bar.add_task("Recording", total=len(images.image_ids) * len(jobs))
        for job, out, network, own in zip(jobs, outs, given, weights, strict=True):
            source = Source(
                images=str(arguments.images.resolve()),
                fingerprint=images.fingerprint,
                network=network,
                name=job.network.name,
                weights=str(Path(own).resolve()) if own and Path(own).exists() else own,
                weights_hash=job.network.weights_hash,
            )
            made.append(
                record_on_cluster(
                    client,
                    source,
                    job,
                    _shards(out),
                    images=images,
                    seed=arguments.seed,
                    batch_size=_batch_size(arguments),
                    device=arguments.device,
                    n_each=arguments.shard_images,
                    workers=arguments.workers,
                    advance=lambda n_images: bar.advance(task, n_images),
                    tell=say,
                )
            )
    return made


def _shards(out: Path) -> Path:
    return out.with_name(f"{out.name}.shards")


def _batch_size(arguments: argparse.Namespace) -> int:
    from stimuli.record import BATCH_SIZE

    if arguments.batch_size is not None:
        return int(arguments.batch_size)
    return BATCH_SIZE if arguments.device.startswith("cpu") else 64


def _networks(arguments: argparse.Namespace) -> list["Network"]:
    from stimuli.networks import load_network

    given = arguments.network or ["efficientnet-lite0"]
    names = _for_each("name", arguments.name, given)
    weights = _for_each("weights", arguments.weights, given)
    networks = [
        load_network(network, name=name, weights=own)
        for network, name, own in zip(given, names, weights, strict=True)
    ]
    called = [network.name for network in networks]
    if len(set(called)) < len(called):
        raise DataContractError(
            f"The networks are called {called}; units go by these names, so each must"
            " have its own. Name them with --name, once for each."
        )
    return networks


def _for_each(
    option: str, given: list[str] | None, networks: list[str]
) -> list[str | None]:
    """Return one value a network, where an option is given once for all or for each."""
    if not given:
        return [None] * len(networks)
    if len(given) == 1:
        return [given[0]] * len(networks)
    if len(given) != len(networks):
        raise DataContractError(
            f"'--{option}' is given {len(given)} times for {len(networks)} networks;"
            " it must be given once, or once for each network."
        )
    return [*given]


def _outs(out: Path, networks: list["Network"]) -> list[Path]:
    if len(networks) == 1:
        return [out]
    return [out / network.name.replace("/", "_") for network in networks]


def _jobs(
    arguments: argparse.Namespace, networks: list["Network"], outs: list[Path]
) -> list["Job"]:
    from stimuli.checkpoints import Checkpoint
    from stimuli.record_config import Job, RecordConfig

    if len(networks) > 1 and (arguments.directions or arguments.reduction):
        raise DataContractError(
            "'--directions' and '--reduction' name layers of one network; there are"
            f" {len(networks)}. Record it in a run of its own."
        )
    names = [network.name for network in networks]
    layers = _for_each("layers", arguments.layers, names)
    full = _full_units(arguments.full)
    directions = tuple(
        _directions(text, arguments.directions_reduction)
        for text in arguments.directions
    )
    return [
        Job(
            network=network,
            config=RecordConfig(
                layers=tuple(layer.strip() for layer in text.split(","))
                if text
                else (),
                n_extremes=arguments.n_extremes,
                reductions=dict(map(_reduction, arguments.reduction)),
                full=tuple(
                    unit
                    for unit in full
                    if len(networks) == 1 or unit.model == network.name
                ),
                directions=directions,
                precision=arguments.precision,
                map_statistics=arguments.map_statistics,
            ),
            checkpoint=Checkpoint.beside(out, minutes=arguments.checkpoint_minutes),
            check_labels=arguments.check_labels,
            memory_bytes=int(arguments.memory * 1e9) if arguments.memory else None,
        )
        for network, text, out in zip(networks, layers, outs, strict=True)
    ]


def _print_made(recording: Recording, images: ImageSet, out: Path) -> None:
    n_layers = len(dict.fromkeys(unit.layer for unit in recording.units))
    print(
        f"{len(recording.units):,} units of {n_layers} layers,"
        f" {recording.n_extremes} images at each end of {len(images.image_ids):,}"
    )
    print(f"Recording: {out}")


def _check_given(arguments: argparse.Namespace) -> None:
    if arguments.directions and not arguments.layers:
        arguments.layers = [""]
    for option in ("images", "layers", "out"):
        if not getattr(arguments, option):
            raise DataContractError(
                f"'--{option}' is missing; a recording needs it."
                " See unitscope record --help; --list-layers prints the layers."
            )


def _directions(text: str, reduction: str) -> "DirectionSet":
    from stimuli.directions import read_directions

    layer, equals, file = text.partition("=")
    if not equals or not layer or not file:
        raise DataContractError(
            f"'--directions' is {text!r}; it must be LAYER=FILE, such as"
            " layer4.2.conv3=sae.npz."
        )
    return read_directions(Path(file), layer=layer, reduction=reduction)


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
