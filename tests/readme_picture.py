"""Make the README's picture of a trial, from photographs that anyone may share.

``python -m tests.readme_picture experiment_server/client/trial.png``
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

from data.atlases import padded
from data.files import bytes_hash, read_json, write_json
from data.studies import read_study
from experiment_server.browser import running_chromium
from stimuli.atlas import atlas_jpeg
from tests.experiment_server.toy_study import make_toy_study
from tests.experiment_server.visitor import Visitor, running_site

# Public domain (NASA) and CC0, by scikit-image's list of origins.
POSITIVE, NEGATIVE = "hubble_deep_field.jpg", "chelsea.png"
SIDE = 150


def crops(name, n, rng):
    """Cut ``n`` squares out of a photograph that scikit-image ships."""
    path = Path(skimage.__file__).parent / "data" / name
    image = Image.open(path).convert("RGB")
    for _ in range(n):
        left, top = (int(rng.integers(0, size - SIDE)) for size in image.size)
        yield image.crop((left, top, left + SIDE, top + SIDE)).resize((224, 224))


def redraw(folder, rng):
    """Put crops of the two photographs into every atlas of a study."""
    path = folder / "server" / "trials.json"
    entries = {entry["trial_id"]: entry for entry in read_json(path)}
    for trial in read_study(folder).trials.values():
        task, n = trial.task, len(trial.cells.positive_explanations) + 1
        strong = [task.positive_query, *task.positive_explanations]
        weak = [task.negative_query, *task.negative_explanations]
        images = dict(zip(strong, crops(POSITIVE, n, rng), strict=True))
        images |= dict(zip(weak, crops(NEGATIVE, n, rng), strict=True))
        drawn = atlas_jpeg(task, trial.cells, images.__getitem__)
        content = padded(drawn, 1_000_000)
        (folder / "atlases" / trial.atlas).write_bytes(content)
        entries[trial.trial_id]["atlas_sha256"] = bytes_hash(content)
    write_json(path, list(entries.values()))


def main(target):
    with tempfile.TemporaryDirectory() as temporary, running_chromium() as browser:
        folder = Path(temporary)
        study = make_toy_study(folder / "study", n_explanations=9)
        redraw(study, np.random.default_rng(0))
        size = {"width": 1280, "height": 720}
        context = browser.new_context(viewport=size)
        with running_site(read_study(study), folder) as site:
            visitor = Visitor(context, site)
            visitor.pass_practice()
            visitor.sequence()
            visitor.page.mouse.move(0, 700)
            visitor.page.screenshot(path=folder / "trial.png")
        # 256 colours are a third of the bytes.
        Image.open(folder / "trial.png").convert("RGB").quantize(256).save(target)


if __name__ == "__main__":
    main(sys.argv[1])
