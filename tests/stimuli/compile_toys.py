"""A toy study to compile: small coloured images, made-up activations and scores."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from data.formats import Header
from data.images import ImageSet, describe_images, read_image_set, write_image_set
from data.recordings import Recording, tie_keys
from data.scores import Scores
from data.selections import Selection
from data.studies import StudyConfig
from data.tasks import TaskConfig, draw_tasks
from data.units import UnitId
from stimuli.compile import Materials

N_IMAGES = 48
N_UNITS = 48
TASKS = TaskConfig(n_tasks=4, n_explanations=3)
UNITS = tuple(UnitId("toy-net", f"layer{i % 3}", i) for i in range(N_UNITS))


def toy_images(folder: Path) -> ImageSet:
    """Write photographs of noise, each of another colour, and read them as a set."""
    rng = np.random.default_rng(7)
    root = folder / "files"
    root.mkdir(parents=True)
    names = [f"photo_{index:02d}.png" for index in range(N_IMAGES)]
    for name in names:
        noise = rng.integers(0, 60, (8, 8, 3)) + rng.integers(0, 190, 3)
        picture = Image.fromarray(noise.astype(np.uint8))
        picture.resize((256, 256), Image.Resampling.BICUBIC).save(root / name)
    write_image_set(
        folder,
        root=root,
        manifest=pd.DataFrame(describe_images(root, names)),
        header=Header(format="images", version=1, config={}),
    )
    return read_image_set(folder)


def toy_recording(images: ImageSet) -> Recording:
    """Return made-up activations: every unit orders the images in its own way."""
    rng = np.random.default_rng(3)
    values = rng.standard_normal((N_UNITS, N_IMAGES)).astype(np.float32)
    n = TASKS.n_extremes
    keys = tie_keys(UNITS, np.arange(N_IMAGES), seed=0)
    up = np.array([np.lexsort((k, v)) for k, v in zip(keys, values, strict=True)])
    down = np.array([np.lexsort((k, -v)) for k, v in zip(keys, values, strict=True)])
    rows = np.arange(N_UNITS)[:, None]
    statistics = pd.DataFrame(
        {
            "unit": [str(unit) for unit in UNITS],
            "minimum": values.min(axis=1),
            "maximum": values.max(axis=1),
            "mean": values.mean(axis=1),
            "sd": values.std(axis=1),
            "share_at_minimum": 1 / N_IMAGES,
        }
    )
    return Recording(
        units=UNITS,
        image_ids=images.image_ids,
        content=tuple(images.manifest["sha256"]),
        top_index=down[:, :n].astype(np.int32),
        top_value=values[rows, down[:, :n]],
        bottom_index=up[:, :n].astype(np.int32),
        bottom_value=values[rows, up[:, :n]],
        statistics=statistics,
        full={},
        header=Header(format="recording", version=1, config={}, seed=0),
    )


def toy_materials(folder: Path, *, n_selected: int = 12) -> Materials:
    """Return a task set with scores from 0.4 to 1, and some selected units."""
    images = toy_images(folder)
    tasks = draw_tasks(toy_recording(images), TASKS, seed=0)
    mis = dict(zip(UNITS, np.linspace(0.4, 0.99, N_UNITS), strict=True))
    rows = [
        (task.task_id, str(task.unit), task.number, mis[task.unit] + shift)
        for task in tasks
        for shift in [0.002 * task.number]
    ]
    scored = pd.DataFrame(rows, columns=["task_id", "unit", "number", "probability"])
    chosen = UNITS[:: N_UNITS // n_selected][:n_selected]
    groups = ["easiest", "random", "hardest"]
    return Materials(
        tasks=tasks,
        images=images,
        selection=Selection(
            units=pd.DataFrame(
                {
                    "unit": [str(unit) for unit in chosen],
                    "group": [groups[i % 3] for i in range(len(chosen))],
                    "reason": "a toy",
                    "mis": [mis[unit] for unit in chosen],
                }
            ),
            header=Header(format="selection", version=1, config={}, seed=0),
        ),
        scores=Scores(
            units=pd.DataFrame(
                {"unit": [str(unit) for unit in UNITS], "mis": list(mis.values())}
            ),
            tasks=scored.assign(
                margin=0.16
                * np.log(scored["probability"] / (1 - scored["probability"]))
            ),
            header=Header(format="scores", version=1, config={"tau": 0.16}),
        ),
        made_from={"tasks": "toy", "images": images.fingerprint},
    )


def toy_config(**settings: object) -> StudyConfig:
    """Return the settings of a small study; ``settings`` change some."""
    plain = {"study_id": "toy", "n_slots": 9, "n_main_trials": 8, "n_catch_trials": 2}
    return StudyConfig.of(plain | settings)
