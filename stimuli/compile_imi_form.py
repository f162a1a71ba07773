"""A study in the folders that IMI's own page and tools read."""

import os
from pathlib import Path
from typing import Any

from data.files import whole_folder, write_json
from data.formats import Header, software_versions, write_header
from data.images import ImageSet
from data.studies import Presentation, Study, StudyTrial


def write_imi_form(folder: Path, study: Study, images: ImageSet) -> int:
    """Write the study's main and catch trials, and its practice, as IMI's page reads.

    Its file names say which image is which (``min``, ``max``), its sides are fixed
    and its page shuffles the rest, so sides and instructed trials are left out.

    Returns
    -------
    int
        How many image files were written; equal images share one file on disk.
    """
    namespace = study.config.study_id
    writer = _Images(images)
    with whole_folder(folder) as part:
        tasks = []
        for index, slot in enumerate(study.slots, start=1):
            shown = [_trial(study, one) for one in slot]
            shown = [one for one in shown if one.kind in {"main", "catch"}]
            name = f"{namespace}/task_{index}"
            writer.write_trials(part / name / "trials", shown)
            write_json(part / name / "index.json", _index(name, shown))
            tasks.append(_structure(index, shown))
        write_json(part / namespace / f"{namespace}.json", {"tasks": tasks})
        demo = f"demo_{namespace}"
        practice = sorted(study.of_kind("practice"), key=lambda one: not one.obvious)
        writer.write_trials(part / demo / "trials", practice)
        write_json(part / demo / "index.json", _demo_index(demo, practice))
        write_header(part / "imi_form.json", _header(study))
    return writer.n_files


class _Images:
    """Writes PNG files; the second time an image is needed, it is linked."""

    def __init__(self, images: ImageSet) -> None:
        self.images = images
        self.n_files = 0
        self._written: dict[str, Path] = {}

    def write_trials(self, folder: Path, trials: list[StudyTrial]) -> None:
        for number, trial in enumerate(trials, start=1):
            task, own = trial.task, folder / f"trial_{number}"
            self._write(own / "queries" / "min.png", task.negative_query)
            self._write(own / "queries" / "max.png", task.positive_query)
            for prefix, explanations in (
                ("min", task.negative_explanations),
                ("max", task.positive_explanations),
            ):
                # IMI counts from the weakest; its last one is the strongest.
                for rank, image_id in enumerate(reversed(explanations)):
                    path = own / "references" / f"{prefix}_{rank}.png"
                    self._write(path, image_id)

    def _write(self, path: Path, image_id: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.n_files += 1
        if image_id in self._written:
            try:
                os.link(self._written[image_id], path)
                return
            except OSError:
                # Too many links, or a file system without them: write it once more.
                pass
        self.images.display(image_id).save(path, "PNG")
        self._written[image_id] = path


def _trial(study: Study, presentation: Presentation) -> StudyTrial:
    return study.trials[presentation.trial_id]


def _index(name: str, shown: list[StudyTrial]) -> dict[str, Any]:
    catch = [number for number, one in enumerate(shown, 1) if one.kind == "catch"]
    return {
        "task_name": name,
        # Text, because IMI's is.
        "n_reference_images": str(len(shown[0].task.positive_explanations)),
        "n_trials": len(shown),
        "catch_trial_idxs": catch,
    }


def _demo_index(name: str, practice: list[StudyTrial]) -> dict[str, Any]:
    n_explanations = len(practice[0].task.positive_explanations)
    return {
        "task_name": name,
        "n_reference_images": str(n_explanations),
        "n_trials": len(practice),
        "n_obvious_trials": sum(bool(one.obvious) for one in practice),
    }


def _structure(index: int, shown: list[StudyTrial]) -> dict[str, Any]:
    trials = [_structure_trial(one) for one in shown]
    return {
        "index": index,
        "raw_trials": [one for one in trials if one["mode"] != "catch_trial"],
        "raw_catch_trials": [one for one in trials if one["mode"] == "catch_trial"],
        "trials": trials,
    }


def _structure_trial(trial: StudyTrial) -> dict[str, str]:
    """Return the folders that IMI's analysis reads unit and batch from."""
    unit, number = trial.task.unit, trial.task.number
    channel = f"{unit.model}_/{unit.layer}/channel_{unit.channel}"
    queries = f"{channel}/natural_images/batch_{number}"
    if trial.kind == "catch":
        mode = "catch_trial"
    else:
        mode = "natural" if trial.explanation_method == "natural" else "optimized"
    synthetic = trial.explanation_method == "synthetic"
    references = f"{channel}/optimized_images" if synthetic else queries
    return {"queries": queries, "references": references, "mode": mode}


def _header(study: Study) -> Header:
    return Header(
        format="imi-form",
        version=1,
        config={"study_id": study.config.study_id},
        seed=study.header.seed,
        software=software_versions("pillow"),
    )
