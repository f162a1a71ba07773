"""Scores from margins that are stored: another tau, fewer tasks, hard accuracy."""

import argparse
from dataclasses import replace

from data.errors import DataContractError
from data.files import folder_hash
from data.formats import Header, software_versions
from data.scores import VERSION, Scores, read_scores
from mis.score import rescored
from mis.scorers import as_method, method_config
from mis.tau_file import Scale, given_scale, scale_of


def score_again(arguments: argparse.Namespace) -> Scores:
    """Score from the margins of ``--margins``.

    Raises
    ------
    DataContractError
        They hold no margins, or not enough; no tau is known, or it is unusable.
    """
    scores = read_scores(arguments.margins)
    scale = _scale(arguments, scores.header)
    config = {
        name: value
        for name, value in scores.header.config.items()
        if name not in {"slope", "offset"}
    } | method_config(arguments.method)
    header = replace(
        scores.header,
        version=VERSION,
        config=config | scale.config | {"first_tasks": arguments.first},
        made_from={
            **scores.header.made_from,
            "scores": folder_hash(arguments.margins),
        },
        software=software_versions("numpy", "scipy", "torch"),
    )
    again = rescored(
        scores,
        tau=scale.tau,
        slope=scale.slope,
        offset=scale.offset,
        n_tasks=arguments.first,
        header=header,
    )
    return as_method(again, arguments.method)


def _scale(arguments: argparse.Namespace, before: Header) -> Scale:
    """Return the scale that is asked for, or that of the scores before."""
    if arguments.tau is not None:
        return given_scale(arguments.tau, encoder=before.config.get("encoder"))
    if before.config.get("tau") is None:
        raise DataContractError(
            f"The scores {arguments.margins} have no tau. Give one with --tau."
        )
    return replace(scale_of(before), source="as before")
