/**
 * Our plugin in a timeline of somebody else's, without our server.
 *
 * The page loads plugin.js and plugin.css, which `make setup` builds, and then this.
 * Every trial has a folder of pictures: upper, lower, left-1..n, right-1..m.
 */
const { initJsPsych, TwoGroupsChoicePlugin } = window.unitscope;
const CELL = 224;

async function loadImage(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
}

/** Draw all pictures of a trial side by side on one image. */
async function compose(names) {
  const before = performance.now();
  const pictures = await Promise.all(names.map(loadImage));
  const canvas = new OffscreenCanvas(CELL * pictures.length, CELL);
  const context = canvas.getContext("2d");
  for (const [index, one] of pictures.entries()) {
    context.drawImage(one, index * CELL, 0, CELL, CELL);
  }
  const image = await loadImage(URL.createObjectURL(await canvas.convertToBlob()));
  return { image, decode_ms: performance.now() - before };
}

function trialOf(folder, n_left, n_right) {
  const numbered = (side, n) =>
    Array.from({ length: n }, (_, index) => `${folder}/${side}-${index + 1}.jpg`);
  const left = numbered("left", n_left);
  const right = numbered("right", n_right);
  const names = [`${folder}/upper.jpg`, `${folder}/lower.jpg`, ...left, ...right];
  const cells = names.map((_, index) => [index * CELL, 0]);
  return {
    type: TwoGroupsChoicePlugin,
    image: folder,
    place: {
      cell: CELL,
      upper: cells[0],
      lower: cells[1],
      left: cells.slice(2, 2 + n_left),
      right: cells.slice(2 + n_left),
      instruction: null,
    },
    load_image: () => compose(names),
    confidence_levels: 4,
    wording: { "trial.question": "Which one goes with the **right** pictures?" },
    post_trial_gap: 150,
  };
}

const jsPsych = initJsPsych({
  on_finish: () => {
    document.body.dataset.rows = jsPsych.data.get().json();
  },
});
jsPsych.run([trialOf("/pictures/one", 4, 2), trialOf("/pictures/two", 1, 1)]);
