/** A page on which our plugin and jsPsych's own are timed in the same way. */

import htmlButtonResponse from "@jspsych/plugin-html-button-response";
import imageButtonResponse from "@jspsych/plugin-image-button-response";
import preload from "@jspsych/plugin-preload";
import { initJsPsych } from "jspsych";

import { Atlases } from "../src/atlases";
import { TwoGroupsChoicePlugin } from "../src/trial_plugin";
import type { Point } from "../src/types";
import "../src/plugin.css";

/** Told to the program that drives this page, once a trial's pictures are presented. */
interface Presented {
  index: number;
  /** When the browser presented the first and the last picture, ms since the epoch. */
  first_ms: number;
  last_ms: number;
  /** What the plugin under test counts response times from, ms since the epoch. */
  onset_ms: number;
  /** Middle of a button to press. */
  button: Point;
  /** Middles of all pictures. */
  pictures: Point[];
}

interface Order {
  /** Numbers of the trials; each has an atlas and 20 pictures of its own. */
  trials: number[];
  /** How to show them. */
  way: "ours" | "stock" | "stock_not_preloaded" | "stock_one_picture";
  /** What goes wrong on purpose, to see whether the instrument notices it. */
  fault: "none" | "two_frames" | "late" | "slow_frame";
  cells: Point[];
}

/** jsPsych does not export the type of its timelines. */
type Timeline = Parameters<ReturnType<typeof initJsPsych>["run"]>[0];

declare global {
  interface Window {
    presented(message: Presented): Promise<void>;
    timeTrials(order: Order): Promise<number[]>;
  }
}

const BLANK_MS = 150;
const SLOW_MS = 60;
const LATE_FRAMES = 4;
const PICTURES = ".picture, .pictures img, #jspsych-image-button-response-stimulus";
const { timeOrigin } = performance;

/** When elements were presented, with their elementtiming names. */
let presentations: [name: string, time_ms: number][] = [];
let whenPresented = (): void => undefined;

new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    const { identifier, renderTime } = entry as PerformanceEntry & {
      identifier: string;
      renderTime: number;
    };
    presentations.push([identifier, renderTime]);
  }
  whenPresented();
}).observe({ type: "element" });

function middle(one: Element): Point {
  const { x, y, width, height } = one.getBoundingClientRect();
  return [x + width / 2, y + height / 2];
}

/** Tell of a trial as soon as all that its pictures are named after is presented. */
function tell(index: number, onset_ms: number, n_names: number): void {
  whenPresented = () => {
    if (presentations.length < n_names) return;
    const times = presentations.map(([, time_ms]) => time_ms);
    whenPresented = () => undefined;
    presentations = [];
    const button = document.querySelector("button[data-row], .jspsych-btn")!;
    void window.presented({
      index,
      first_ms: timeOrigin + Math.min(...times),
      last_ms: timeOrigin + Math.max(...times),
      onset_ms: timeOrigin + onset_ms,
      button: middle(button),
      pictures: [...document.querySelectorAll(PICTURES)].map(middle),
    });
  };
  whenPresented();
}

/** Spoil how the trial is revealed, in the frame that reveals it. */
function spoil(fault: Order["fault"]): void {
  if (fault === "none") return;
  const watcher = new MutationObserver(() => {
    const trial = document.querySelector<HTMLElement>(".trial.shown");
    if (!trial) return;
    watcher.disconnect();
    if (fault === "slow_frame") {
      const before = performance.now();
      while (performance.now() - before < SLOW_MS);
    } else if (fault === "late") {
      hide([trial], LATE_FRAMES);
    } else {
      hide([...trial.querySelectorAll("img")].slice(0, 10), 1);
    }
  });
  watcher.observe(document.body, { subtree: true, attributeFilter: ["class"] });
}

/** Hide elements for some frames. */
function hide(elements: readonly HTMLElement[], n_frames: number): void {
  for (const one of elements) one.style.visibility = n_frames > 0 ? "hidden" : "";
  if (n_frames > 0) requestAnimationFrame(() => hide(elements, n_frames - 1));
}

function ours({ trials, cells, fault }: Order): Timeline {
  const atlases = new Atlases();
  const address = (trial: number): string => `/atlas/${trial}.jpg`;
  return trials.map((trial, index) => ({
    type: TwoGroupsChoicePlugin,
    image: address(trial),
    place: {
      cell: 224,
      upper: cells[0],
      lower: cells[1],
      left: cells.slice(2, 11),
      right: cells.slice(11, 20),
      instruction: null,
    },
    load_image: (url: string) => {
      spoil(fault);
      return atlases.get(url);
    },
    on_shown: (_root: HTMLElement, onset_ms: number) => {
      tell(index, onset_ms, 20);
      // Not before: decoding would compete with the trial that is about to be painted.
      atlases.ahead(trials.slice(index, index + 3).map(address));
    },
    feedback_delay: 0,
    post_trial_gap: BLANK_MS,
  }));
}

/** The same trials by jsPsych's own plugins; their clock starts where they are made. */
function stock({ trials, way }: Order): Timeline {
  const one = way === "stock_one_picture";
  const n_names = one ? 1 : 20;
  const numbers = Array.from({ length: 20 }, (_, number) => number);
  const addresses = (trial: number): string[] =>
    one
      ? [`/atlas/${trial}.jpg`]
      : numbers.map((number) => `/picture/${trial}/${number}.jpg`);
  const shown = trials.map((trial, index) => ({
    ...(one
      ? {
          type: imageButtonResponse,
          stimulus: addresses(trial)[0],
          render_on_canvas: false,
          stimulus_height: 500,
        }
      : { type: htmlButtonResponse, stimulus: markup(addresses(trial)) }),
    choices: ["1", "2", "3"],
    on_load: () => {
      const started_ms = performance.now();
      if (one) document.querySelector("img")!.setAttribute("elementtiming", "one");
      tell(index, started_ms, n_names);
    },
    post_trial_gap: BLANK_MS,
  }));
  if (way === "stock_not_preloaded") return shown;
  return [{ type: preload, images: trials.flatMap(addresses) }, ...shown];
}

function markup(addresses: readonly string[]): string {
  const images = addresses.map(
    (src, number) =>
      `<img src="${src}" width="160" height="160" elementtiming="picture-${number}">`,
  );
  return `<div class="pictures">${images.join("")}</div>`;
}

/** Show trials; resolves with the response times that the plugin under test stores. */
window.timeTrials = async (order) => {
  presentations = [];
  const jsPsych = initJsPsych();
  await jsPsych.run(order.way === "ours" ? ours(order) : stock(order));
  const rows = jsPsych.data.get().values() as { rt?: number; trial_type: string }[];
  return rows.filter((row) => row.trial_type !== "preload").map((row) => row.rt ?? NaN);
};
