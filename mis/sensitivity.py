"""How far a unit's score depends on choices: of tasks, images, scale and encoder."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.recordings import Recording
from data.tasks import draw_tasks
from mis.score import unit_scores
from mis.sensitivity_setting import Analysis, MarginsOf, Setting, compared

SHARES = (1.0, 0.75, 0.5, 0.35, 0.25, 0.15, 0.1)
TAU_FACTORS = tuple(2.0 ** (step / 2) for step in range(-8, 9))


def number_of_tasks(setting: Setting) -> Analysis:
    """Take the first i of N tasks, and rebuild all tasks for every i.

    Notes
    -----
    MIS paper, App. D: the two settings. Fewer tasks rebuilt are tasks of more extreme
    images, because strata are N images wide.
    """
    rows = []
    for n in range(1, setting.config.n_tasks + 1):
        first = unit_scores(setting.margins[:, :n], tau=setting.tau)[0]
        rows.append(
            {"setting": "first", "n_tasks": n} | compared(setting.scores, first)
        )
        _, rebuilt = setting.again(n_tasks=n)
        rows.append(
            {"setting": "rebuilt", "n_tasks": n} | compared(setting.scores, rebuilt)
        )
    table = pd.DataFrame(rows)
    most = setting.config.n_tasks
    half = table[table["n_tasks"] == max(1, most // 2)].set_index("setting")
    change = half["mean_difference"]
    return Analysis(
        name="n_tasks",
        title="Number of tasks",
        fixed=setting.fixed("N"),
        said=f"With {max(1, most // 2)} instead of {most} tasks a unit's MIS changes by"
        f" {change['first']:.3f} on average when the first tasks are kept, and by"
        f" {change['rebuilt']:.3f} when all tasks are built anew.",
        table=table,
    )


def number_of_explanations(setting: Setting) -> Analysis:
    """Show the k most extreme strata only, and rebuild all tasks for every k."""
    rows = []
    most = setting.config.n_explanations
    tasks, _ = setting.again()
    for n in range(1, most + 1):
        fewer = replace(
            tasks,
            explanations=tasks.explanations[..., :n],
            config=replace(tasks.config, n_explanations=n),
        )
        first = unit_scores(setting.margins_of(fewer), tau=setting.tau)[0]
        _, rebuilt = setting.again(n_explanations=n)
        for name, scores in (("first", first), ("rebuilt", rebuilt)):
            rows.append(
                {"setting": name, "n_explanations": n}
                | compared(setting.scores, scores)
            )
    table = pd.DataFrame(rows)
    one = table[table["n_explanations"] == 1].set_index("setting")
    return Analysis(
        name="n_explanations",
        title="Number of explanations",
        fixed=setting.fixed("K"),
        said=f"With one explanation of each polarity instead of {most} the mean MIS is"
        f" {one['mean_mis']['first']:.3f} (queries unchanged) and"
        f" {one['mean_mis']['rebuilt']:.3f} (queries next to the explanation), instead"
        f" of {setting.scores.mean():.3f}.",
        table=table,
    )


def temperature(setting: Setting) -> Analysis:
    """Score the same margins with other values of tau."""
    rows = []
    for factor in TAU_FACTORS:
        tau = setting.tau * factor
        mis, hard = unit_scores(setting.margins, tau=tau)
        row = {"tau": tau} | compared(setting.scores, mis)
        rows.append(row | {"sd_mis": float(mis.std()), "hard_accuracy": hard.mean()})
    table = pd.DataFrame(rows)
    low, high = table.iloc[len(table) // 2 - 2], table.iloc[len(table) // 2 + 2]
    return Analysis(
        name="tau",
        title="Temperature",
        fixed=setting.fixed("tau"),
        said=f"From tau {low['tau']:.3g} to {high['tau']:.3g} the mean MIS goes from"
        f" {low['mean_mis']:.3f} to {high['mean_mis']:.3f}; the order of units stays"
        f" (Spearman {low['spearman']:.3f} and {high['spearman']:.3f} with tau"
        f" {setting.tau:g}).",
        table=table,
    )


def seeds(setting: Setting, *, n_seeds: int) -> Analysis:
    """Shuffle the strata with other seeds, and compare with the standard error.

    Notes
    -----
    A unit's standard error is that of the mean over its tasks, as if they were
    independent. They share a unit's extreme images, one a stratum each, so that the
    scores of other shuffles vary less than that.
    """
    drawn = [setting.again(seed=setting.seed + 1 + one)[1] for one in range(n_seeds)]
    scores = np.array([setting.scores, *drawn])
    probability = 1 / (1 + np.exp(-setting.margins.astype(np.float64) / setting.tau))
    n_tasks = setting.config.n_tasks
    spread = np.full(len(setting.units), np.nan)
    if n_tasks > 1:
        spread = probability.std(axis=1, ddof=1)
    table = pd.DataFrame(
        {
            "unit": [str(unit) for unit in setting.units],
            "mis": setting.scores,
            "standard_error": spread / np.sqrt(n_tasks),
            "sd_over_seeds": scores.std(axis=0, ddof=1),
        }
    )
    others = [compared(setting.scores, one) for one in drawn]
    least = min(one["spearman"] for one in others)
    return Analysis(
        name="seeds",
        title="Seeds of the shuffle, and the standard error of a unit's MIS",
        fixed=setting.fixed("seed"),
        said=f"Over {n_seeds + 1} seeds a unit's MIS has a standard deviation of"
        f" {table['sd_over_seeds'].mean():.4f} on average; its standard error from its"
        f" {n_tasks} tasks is {table['standard_error'].mean():.4f}. The least Spearman"
        f" correlation with the reference is {least:.3f}.",
        table=table,
    )


def ties(setting: Setting, others: Mapping[str, Recording]) -> Analysis:
    """Compare tie orders: units that are dropped, and recordings with other seeds."""
    config = replace(setting.config, tied_units="draw")
    known = setting.recording.units
    most = min(len(known), 4 * len(setting.units))
    chosen = np.random.default_rng([setting.seed, 1]).permutation(len(known))[:most]
    units = [known[one] for one in sorted(chosen)]
    drawn = draw_tasks(setting.recording, config, seed=setting.seed, units=units)
    mis = unit_scores(setting.margins_of(drawn), tau=setting.tau)[0]
    shares = drawn.table.set_index("unit")["tie_share"]
    kept = draw_tasks(
        setting.recording, setting.config, seed=setting.seed, units=drawn.units
    )
    names = [str(unit) for unit in drawn.units]
    has_tasks = np.isin(names, [str(unit) for unit in kept.units])
    rows = [
        {"order": "this recording", "unit": name, "tie_share": shares[name], "mis": one}
        | {"reported": not own}
        for name, one, own in zip(names, mis, has_tasks, strict=True)
    ]
    for label, recording in others.items():
        common = [unit for unit in drawn.units if unit in set(recording.units)]
        again = draw_tasks(recording, config, seed=setting.seed, units=common)
        found = unit_scores(setting.margins_of(again), tau=setting.tau)[0]
        rows += [
            {"order": label, "unit": str(unit), "tie_share": shares[str(unit)]}
            | {"mis": one, "reported": False}
            for unit, one in zip(again.units, found, strict=True)
        ]
    table = pd.DataFrame(rows)
    dropped = table[table["reported"]]["mis"]
    said = "No unit is left out because of ties."
    if len(dropped):
        said = (
            f"{len(dropped)} units with tied queries have no score; with ties broken at"
            f" random they would have {dropped.mean():.3f} on average, where chance is"
            " 0.5."
        )
    for label in others:
        both = table.pivot_table(index="unit", columns="order", values="mis").dropna()
        gap = (both[label] - both["this recording"]).abs().mean()
        said += f" Under the tie order of {label} a unit's MIS differs by {gap:.4f}."
    return Analysis(
        name="ties",
        title="Ties",
        fixed=setting.fixed(),
        said=said,
        table=table,
    )


def encoders(
    setting: Setting, others: Mapping[str, tuple[MarginsOf, float]]
) -> Analysis:
    """Score the same tasks with other encoders, each with its own tau."""
    tasks, _ = setting.again()
    columns = {setting.encoder: setting.scores}
    for name, (margins_of, tau) in others.items():
        columns[name] = unit_scores(margins_of(tasks), tau=tau)[0]
    table = pd.DataFrame({"unit": [str(unit) for unit in setting.units]} | columns)
    said = "Only one encoder was given."
    if others:
        parts = []
        for name in others:
            one = compared(setting.scores, columns[name])
            parts.append(
                f"{name} (mean {one['mean_mis']:.3f}): Pearson {one['pearson']:.3f},"
                f" Spearman {one['spearman']:.3f}"
            )
        said = f"With {setting.encoder}, over units: {'; '.join(parts)}."
    return Analysis(
        name="encoder",
        title="Encoder",
        fixed=setting.fixed("encoder", "tau") + ", each encoder's own tau",
        said=said,
        table=table,
    )


def image_set_size(setting: Setting) -> Analysis:
    """Leave only a random part of the images, and rank what is left.

    The recorded extremes that are left are the extremes of the smaller set, as long as
    there are enough; so N is what the smallest part still allows.
    """
    recording, k = setting.recording, setting.config.n_explanations + 1
    n_images = len(recording.image_ids)
    order = np.random.default_rng([setting.seed, n_images]).permutation(n_images)
    rows = [recording.row(unit) for unit in setting.units]
    kept_by_share = {
        share: order < round(share * n_images) for share in sorted(SHARES, reverse=True)
    }
    n_tasks = setting.config.n_tasks
    parts: dict[float, NDArray[np.bool_]] = {}
    for share, kept in kept_by_share.items():
        ends = (recording.top_index[rows], recording.bottom_index[rows])
        fewest = min(int(kept[one].sum(axis=1).min()) for one in ends)
        fewest = min(fewest, int(kept.sum()) // 2)  # no image at both ends
        if fewest // k < min(2, setting.config.n_tasks):
            break
        parts[share], n_tasks = kept, min(n_tasks, fewest // k)
    _, whole = setting.again(n_tasks=n_tasks)
    found = []
    for share, kept in parts.items():
        part = _part(recording, rows, kept, n_tasks * k)
        _, scores = setting.again(part, n_tasks=n_tasks)
        row = {"share": share, "n_images": int(kept.sum()), "n_tasks": n_tasks}
        found.append(row | compared(whole, scores))
    table = pd.DataFrame(found)
    last = table.iloc[-1]
    return Analysis(
        name="image_set",
        title="Size of the image set",
        fixed=setting.fixed("images", "N") + f", N = {n_tasks}",
        said=f"Of {n_images:,} images, {int(last['n_images']):,} give a mean MIS of"
        f" {last['mean_mis']:.3f} instead of {whole.mean():.3f}, Spearman"
        f" {last['spearman']:.3f}; smaller parts have too few recorded extremes.",
        table=table,
    )


def _part(
    recording: Recording, rows: Sequence[int], kept: NDArray[np.bool_], n: int
) -> Recording:
    """Return the recording of some units over the images that are kept."""

    def end(
        index: NDArray[np.int32], value: NDArray[np.float32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        index, value = index[rows], value[rows]
        # A stable sort of 'is gone' leaves those that are kept first, in their order.
        left = np.argsort(~kept[index], axis=1, kind="stable")[:, :n]
        taken = np.take_along_axis(index, left, axis=1)
        return taken, np.take_along_axis(value, left, axis=1)

    top, bottom = (
        end(recording.top_index, recording.top_value),
        end(recording.bottom_index, recording.bottom_value),
    )
    return replace(
        recording,
        units=tuple(recording.units[row] for row in rows),
        statistics=recording.statistics.iloc[list(rows)].reset_index(drop=True),
        full={},
        top_index=top[0],
        top_value=top[1],
        bottom_index=bottom[0],
        bottom_value=bottom[1],
    )
