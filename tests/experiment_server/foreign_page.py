"""A page that is not ours, and what it takes to show our plugin's trials on it."""

import io
from contextlib import contextmanager
from functools import partial

import numpy as np
from PIL import Image

from data.studies import ATLAS_COLUMNS, DISPLAY_SIDE, cell_position
from experiment_server.readiness import BUNDLE

ADDRESS = "http://foreign.test"
HTML = """<!doctype html><html lang="en"><head><title>Foreign</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/plugin.css">
<script src="/plugin.js"></script></head><body></body></html>"""
RUN = """async ({ place, mode, ...given }) => {
  const { initJsPsych, loadAtlas, TwoGroupsChoicePlugin } = window.unitscope;
  const { levels = 3, feedback = true, ...parameters } = given;
  const jsPsych = initJsPsych();
  window.stored = [];
  const timeline = [{
    type: TwoGroupsChoicePlugin,
    image: "/atlas.jpg",
    place,
    load_image: loadAtlas,
    confidence_levels: levels,
    feedback_delay: 1,
    feedback_duration: 1,
    submit: async (response) => {
      window.stored.push(response);
      return feedback ? { correct: true } : null;
    },
    ...parameters,
  }];
  if (mode === "run") {
    window.finished = jsPsych.run(timeline).then(() => jsPsych.data.get().values());
  } else await jsPsych.simulate(timeline, mode);
  return jsPsych.data.get().values();
}"""


class ForeignPage:
    """Shows one trial of the plugin; notes what the browser complains of."""

    def __init__(self, context):
        self.page = context.new_page()
        self.page.set_default_timeout(20_000)
        self.complaints = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda one: self.complaints.append(one.text))
        for name in ("plugin.js", "plugin.css"):
            self.page.route(f"**/{name}", partial(send_file, path=BUNDLE / name))
        self.page.route(f"{ADDRESS}/", lambda route: route.fulfill(body=HTML))
        self.page.goto(f"{ADDRESS}/", wait_until="commit")

    def run(
        self,
        *,
        mode="run",
        n_left=9,
        n_right=9,
        instruction=None,
        colours=None,
        **parameters,
    ):
        """Begin a trial, or simulate one; returns the rows of jsPsych's data so far."""
        self.page.unroute("**/atlas.jpg")
        body = atlas(2 + n_left + n_right, colours)
        self.page.route("**/atlas.jpg", lambda route: route.fulfill(body=body))
        self.page.wait_for_function("window.unitscope !== undefined")
        where = place(n_left, n_right) | {"instruction": instruction}
        return self.page.evaluate(RUN, {"place": where, "mode": mode, **parameters})

    def shown(self):
        """Wait until the trial takes answers."""
        return self.page.wait_for_selector(".trial[data-ready]")


@contextmanager
def foreign_page(browser, **options):
    """Open a page that loads the plugin's bundle; it must not complain."""
    context = browser.new_context(**options)
    foreign = ForeignPage(context)
    yield foreign
    context.close()
    assert foreign.complaints == []


def send_file(route, *, path):
    route.fulfill(path=path)


def atlas(n_images, colours=None):
    """Return a picture of plain cells, in these colours by turns or in one of each."""
    n_rows = -(-n_images // ATLAS_COLUMNS)
    shades = 60 + 150 * np.arange(n_rows * ATLAS_COLUMNS) / max(n_images, 1)
    cells = np.stack([shades, shades[::-1], 255 - shades], axis=-1).astype(np.uint8)
    if colours is not None:
        cells = np.resize(np.array(colours, dtype=np.uint8), cells.shape)
    picture = Image.fromarray(cells.reshape(n_rows, ATLAS_COLUMNS, 3))
    size = (ATLAS_COLUMNS * DISPLAY_SIDE, n_rows * DISPLAY_SIDE)
    out = io.BytesIO()
    picture.resize(size, Image.Resampling.NEAREST).save(out, "PNG")
    return out.getvalue()


def place(n_left, n_right):
    cells = [cell_position(cell) for cell in range(2 + n_left + n_right)]
    return {
        "cell": DISPLAY_SIDE,
        "upper": cells[0],
        "lower": cells[1],
        "left": cells[2 : 2 + n_left],
        "right": cells[2 + n_left :],
        "instruction": None,
    }
