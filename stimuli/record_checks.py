"""What is looked at before a recording starts, and the labels that are checked."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch

from data.errors import DataContractError
from data.images import ImageSet
from stimuli.layers import check_layer, is_group, matching_groups
from stimuli.networks import Network
from stimuli.record_config import RecordConfig
from stimuli.reductions import check_reductions


def check_before(images: ImageSet, network: Network, config: RecordConfig) -> None:
    """Raise where a recording can't be made, before any image is read."""
    n_images, needed = len(images.image_ids), 2 * config.n_extremes
    if n_images < needed:
        raise DataContractError(
            f"The image set has {n_images} images; 'n_extremes' {config.n_extremes} at"
            f" each end needs at least {needed}, so that no image is at both. Add"
            " images, or lower 'n_extremes' (it is n_tasks * (n_explanations + 1))."
        )
    names = [layer for layer in config.layers if not is_group(layer)]
    for layer in (*names, *(one.layer for one in config.directions)):
        check_layer(network.module, layer, network.name)
    groups = matching_groups(network.module, config.layers)
    keys = [*config.layers, *(one.layer for one in config.directions)]
    if not groups:
        check_reductions(config.reductions, keys)
    keys += [one.key for one in config.directions]
    for unit in config.full:
        if unit.model != network.name or not (groups or unit.layer in keys):
            raise DataContractError(
                f"Unit '{unit}' can't be kept in full; this recording is of the network"
                f" {network.name!r} and the layers {list(config.layers)}."
                " Add its layer, or leave the unit out."
            )
    _check_module(network)


def _check_module(network: Network) -> None:
    for path, module in network.module.named_modules():
        if module.training:
            which = f"module {path!r} of the network" if path else "network"
            raise DataContractError(
                f"The {which} {network.name!r} is in training mode, where dropout and"
                " batch statistics change activations. Call its eval() first."
            )
        by_batch = isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
        if by_batch and module.running_mean is None:
            raise DataContractError(
                f"Module {path!r} of the network {network.name!r} normalises by the"
                " statistics of the batch (track_running_stats is off), so an image's"
                " activations depend on the others of its batch. Give it running"
                " statistics."
            )
    for path, weight in network.module.named_parameters():
        if weight.is_meta:
            raise DataContractError(
                f"Weight {path!r} of the network {network.name!r} has no values (it is"
                " on the device 'meta'). Load the weights first."
            )


def on_device(module: torch.nn.Module, device: str) -> torch.nn.Module:
    """Return a module on a device of torch; raise where there is no such device."""
    try:
        return module.to(device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise DataContractError(
            f"'device' is {device!r}, which torch can't use here ({reason})."
            " Name another, such as 'cpu'."
        ) from error


def label_indices(images: ImageSet) -> dict[int, int]:
    """Return the class index of each image whose label starts with one."""
    indices = {}
    for row, label in enumerate(images.manifest["label"]):
        first = str(label).split(maxsplit=1)[0] if pd.notna(label) else ""
        if first.isdecimal():
            indices[row] = int(first)
    if not indices:
        raise DataContractError(
            "No image has a label that starts with a class index, such as"
            " '243 bull mastiff', so there is no top-1 to check."
            " Leave out --check-labels, or write the labels into images.csv."
        )
    return indices


def n_right(output: object, labels: Mapping[int, int], start: int, n: int) -> int:
    """Return how many of a batch's labelled images have their label as top-1."""
    if not labels:
        return 0
    if not isinstance(output, torch.Tensor) or output.ndim != 2:
        raise DataContractError(
            "The network's output is no (images, classes) tensor, so labels can't be"
            " checked. Leave out --check-labels."
        )
    chosen = output[:n].argmax(dim=1).tolist()
    return sum(labels.get(start + i) == index for i, index in enumerate(chosen))


def available_bytes() -> int | None:
    """Return the memory that can be had without swapping; None where unknown."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split() for line in lines if line.startswith("MemAvailable:")]
    return int(found[0][1]) * 1024 if found else None
