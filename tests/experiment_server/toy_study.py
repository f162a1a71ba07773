"""A study of noise images that compiles in a moment: all kinds, all parts."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data.atlases import encode_atlas, padded
from data.files import bytes_hash
from data.formats import Header
from data.studies import (
    STUDY_VERSION,
    Cells,
    Presentation,
    StudyConfig,
    StudyTrial,
    atlas_size,
    n_cells,
    write_study_files,
)
from data.tasks import Task
from data.units import UnitId

KINDS = {
    "example": 1,
    "obvious": 6,
    "less obvious": 3,
    "main": 8,
    "catch": 2,
    "instructed": 2,
}

SETTINGS: dict[str, Any] = {
    "study_id": "toy",
    "n_slots": 4,
    "n_main_trials": 6,
    "n_catch_trials": 1,
    "n_instructed_trials": 1,
    "n_obvious_practice": 2,
    "n_less_obvious_practice": 1,
    "max_practice_rounds": 3,
    "break_every": 3,
}

TEXTS = {
    "consent": "You will compare images.\n\nYou may stop at **any** time.",
    "consent_version": "v1-toy",
    "instructions": [
        {"text": "Two images stand in the centre.", "highlight": "queries"},
        {"text": "Which one goes with the right?", "highlight": "question"},
    ],
    "debrief": "Thank you.",
}


def make_toy_study(
    folder: Path,
    *,
    seed: int = 0,
    n_explanations: int = 3,
    texts=TEXTS,
    comprehension=(),
    **settings,
):
    """Write a study; ``settings`` replace those of :data:`SETTINGS`."""
    rng = np.random.default_rng(seed)
    config = StudyConfig.of(SETTINGS | settings)
    at_least = {"main": config.n_main_trials, "catch": config.n_catch_trials}
    trials = [
        _trial(folder, rng, label, number, n_explanations)
        for label, count in KINDS.items()
        for number in range(max(count, at_least.get(label, 0)))
    ]
    write_study_files(
        folder,
        config=config,
        trials=trials,
        slots=[_slot(trials, config, rng) for _ in range(config.n_slots)],
        texts=texts,
        comprehension=comprehension,
        header=Header(format="study", version=STUDY_VERSION, config={}, seed=seed),
    )
    return folder


def _trial(folder, rng, label, number, n_explanations):
    kind = "practice" if "obvious" in label else label
    name = rng.bytes(8).hex()
    images = [f"{label}-{number}-{i}.png" for i in range(2 + 2 * n_explanations)]
    cells = [int(cell) for cell in rng.permutation(n_cells(n_images=len(images)))]
    half = 2 + n_explanations
    asked = ("upper", "lower")[number % 2] if kind == "instructed" else None
    content = _atlas(rng, len(images))
    (folder / "atlases").mkdir(parents=True, exist_ok=True)
    (folder / "atlases" / f"{name}.jpg").write_bytes(content)
    return StudyTrial(
        trial_id=rng.bytes(8).hex(),
        kind=kind,
        obvious=label == "obvious" if kind == "practice" else None,
        group="random" if kind == "main" else None,
        task=Task(
            task_id=f"toy::{label.replace(' ', '-')}::{number}#natural-easy#0",
            unit=UnitId("toy", label.replace(" ", "-"), number),
            number=0,
            positive_query=images[0],
            negative_query=images[1],
            positive_explanations=tuple(images[2:half]),
            negative_explanations=tuple(images[half:]),
        ),
        atlas=f"{name}.jpg",
        atlas_sha256=bytes_hash(content),
        cells=Cells(
            positive_query=cells[0],
            negative_query=cells[1],
            positive_explanations=tuple(cells[2:half]),
            negative_explanations=tuple(cells[half : len(images)]),
        ),
        instructed_query=asked,
    )


def _atlas(rng, n_images):
    width, height = atlas_size(n_images=n_images)
    coarse = rng.integers(0, 256, (height // 56, width // 56, 3), dtype=np.uint8)
    atlas = encode_atlas(Image.fromarray(coarse).resize((width, height)))
    return padded(atlas, 17_500 * max(n_images, 5))


def _slot(trials, config, rng):
    counts = {
        "main": config.n_main_trials,
        "catch": config.n_catch_trials,
        "instructed": config.n_instructed_trials,
    }
    chosen = []
    for kind, count in counts.items():
        pool = [trial for trial in trials if trial.kind == kind]
        chosen += [pool[i % len(pool)] for i in rng.permutation(count)]
    sides = ("right", "right") if config.sides == "fixed" else ("left", "right")
    layouts = [
        (side, query)
        for _ in range(-(-len(chosen) // 4))
        for side in sides
        for query in ("positive", "negative")
    ]
    layouts = [layouts[i] for i in rng.permutation(len(layouts))]
    return [
        Presentation(
            trial_id=chosen[place].trial_id, positive_side=side, upper_query=query
        )
        for place, (side, query) in zip(
            rng.permutation(len(chosen)), layouts, strict=False
        )
    ]
