/** The jsPsych plugin of this task: two queries between two groups of examples. */

import {
  type JsPsych,
  type JsPsychPlugin,
  ParameterType,
  type PluginInfo,
  type TrialType,
} from "jspsych";

import type { Atlas } from "./atlases";
import { element } from "./dom";
import { keyAnswer } from "./keys";
import { type Place, TrialView } from "./trial_view";
import type { Input, Onset, Row } from "./types";
import { delay, nextFrame } from "./waiting";

/** What the participant did, before it is stored. */
export interface Response {
  chosen: Row;
  confidence: number;
  rt: number;
  input: Input;
  onset: Onset;
  shown_at: string;
}

const info = {
  name: "two-groups-choice",
  version: "0.1.0",
  parameters: {
    /** Address of the atlas: one image that holds all images of the trial. */
    image: { type: ParameterType.STRING, default: undefined },
    /** Atlas positions, in pixels: cell (side of a square), left and right (lists of
     * [x, y]), upper and lower ([x, y]), instruction (null or {choose: row}). */
    place: { type: ParameterType.OBJECT, default: undefined },
    /** Fetches and decodes an atlas: address to {bitmap, decode_ms}. */
    load_image: { type: ParameterType.FUNCTION, default: undefined },
    /** Number of confidence steps in each row, 2 to 6. */
    confidence_levels: { type: ParameterType.INT, default: 3 },
    /** Answers are refused for this long after onset, in ms. */
    lock: { type: ParameterType.INT, default: 0 },
    /** Stores the response; resolves with {correct} where there is feedback, or null.
     * null: nothing is stored and there is no feedback. */
    submit: { type: ParameterType.FUNCTION, default: null },
    /** Called in the frame in which the trial is shown. */
    on_shown: { type: ParameterType.FUNCTION, default: null },
    /** Whether answers must wait, for example because something covers the trial. */
    is_covered: { type: ParameterType.FUNCTION, default: () => false },
    /** From the answer to the verdict, or to the end where there is none, in ms. */
    feedback_delay: { type: ParameterType.INT, default: 350 },
    /** From the verdict to the continue button, in ms. */
    feedback_duration: { type: ParameterType.INT, default: 1150 },
  },
  data: {
    /** Row whose query was chosen: "upper" or "lower". */
    chosen: { type: ParameterType.STRING },
    /** From 1 to the number of steps. */
    confidence: { type: ParameterType.INT },
    /** From the onset of the images to the answer, in ms. */
    rt: { type: ParameterType.FLOAT },
    /** "mouse", "keyboard" or "touch". */
    input: { type: ParameterType.STRING },
    /** How the onset was taken, with its quality: {method, lag_ms, frame_ms, decode_ms}. */
    onset: { type: ParameterType.OBJECT },
    /** UTC time of the onset, ISO 8601. */
    shown_at: { type: ParameterType.STRING },
    /** null where there was no feedback. */
    correct: { type: ParameterType.BOOL },
  },
} as const satisfies PluginInfo;

type Info = typeof info;
/** Parameters as jsPsych hands them over, with defaults filled in. */
type Given = Required<TrialType<Info>>;

interface Painted {
  onset_ms: number;
  frame_ms: number;
  paint_ms: () => number | null;
}

export class TwoGroupsChoicePlugin implements JsPsychPlugin<Info> {
  static readonly info = info;
  static #nShown = 0;

  constructor(private readonly jsPsych: JsPsych) {}

  async trial(
    display: HTMLElement,
    parameters: TrialType<Info>,
    onLoad?: () => void,
  ): Promise<void> {
    const trial = parameters as Given;
    const atlas = (await trial.load_image(trial.image)) as Atlas;
    TwoGroupsChoicePlugin.#nShown += 1;
    const name = `trial-${TwoGroupsChoicePlugin.#nShown}`;
    const place = trial.place as Place;
    const view = new TrialView(place, atlas.bitmap, trial.confidence_levels, name);
    display.replaceChildren(view.root);
    while (trial.is_covered()) await delay(50);
    const painted = await show(view, name);
    trial.on_shown?.(view.root);
    const shown_at = new Date().toISOString();
    onLoad?.();
    await delay(painted.onset_ms + trial.lock - performance.now());
    const answer = await answered(view, trial.confidence_levels, trial.is_covered);
    view.choose(answer.chosen);
    const response: Response = {
      chosen: answer.chosen,
      confidence: answer.confidence,
      rt: Math.max(0, answer.at_ms - painted.onset_ms),
      input: answer.input,
      onset: onsetOf(painted, atlas.decode_ms),
      shown_at,
    };
    const correct = await this.#conclude(view, trial, response);
    this.jsPsych.finishTrial({ ...response, correct });
  }

  simulate(
    trial: TrialType<Info>,
    mode: "data-only" | "visual",
    options: { data?: Partial<Response> },
    onLoad?: () => void,
  ): void | Promise<void> {
    const data = this.#simulated(trial as Given, options.data ?? {});
    if (mode === "data-only") {
      onLoad?.();
      this.jsPsych.finishTrial({ ...data, correct: null });
      return;
    }
    const display = this.jsPsych.getDisplayElement();
    return this.trial(display, trial, () => {
      onLoad?.();
      void clickThrough(display, data);
    });
  }

  #simulated(trial: Given, given: Partial<Response>): Response {
    const { randomization } = this.jsPsych;
    return {
      chosen: randomization.sampleWithoutReplacement<Row>(["upper", "lower"], 1)[0]!,
      confidence: randomization.randomInt(1, trial.confidence_levels),
      rt: trial.lock + randomization.sampleExGaussian(900, 200, 0.002, true),
      input: "mouse",
      onset: { method: "none", lag_ms: null, frame_ms: null, decode_ms: null },
      shown_at: new Date().toISOString(),
      ...given,
    };
  }

  async #conclude(
    view: TrialView,
    trial: Given,
    response: Response,
  ): Promise<boolean | null> {
    const [feedback] = await Promise.all([
      trial.submit?.(response) as Promise<{ correct: boolean } | null> | undefined,
      delay(trial.feedback_delay),
    ]);
    if (!feedback) return null;
    view.showVerdict(response.chosen, feedback.correct);
    await delay(trial.feedback_duration);
    view.offerToContinue();
    await continued(view, trial.is_covered);
    return feedback.correct;
  }
}

/**
 * Paint the trial and return when that was.
 *
 * It is laid out unseen, revealed in one style change two frames later, and its onset
 * is the time stamp of the frame after that.
 */
async function show(view: TrialView, name: string): Promise<Painted> {
  let paint_ms: number | null = null;
  const observer = new PerformanceObserver((entries) => {
    for (const entry of entries.getEntries()) {
      const { identifier, renderTime } = entry as PerformanceEntry & {
        identifier: string;
        renderTime: number;
      };
      if (identifier === name && renderTime > 0) {
        paint_ms = renderTime;
        observer.disconnect();
      }
    }
  });
  if (PerformanceObserver.supportedEntryTypes.includes("element")) {
    observer.observe({ type: "element" });
  }
  await nextFrame();
  const revealed_ms = await nextFrame();
  view.reveal();
  const onset_ms = await nextFrame();
  return { onset_ms, frame_ms: onset_ms - revealed_ms, paint_ms: () => paint_ms };
}

function onsetOf(painted: Painted, decode_ms: number): Onset {
  const paint_ms = painted.paint_ms();
  return {
    method: paint_ms === null ? "next_frame" : "next_frame+element_timing",
    lag_ms: paint_ms === null ? null : Math.abs(paint_ms - painted.onset_ms),
    frame_ms: painted.frame_ms,
    decode_ms,
  };
}

interface Answered {
  chosen: Row;
  confidence: number;
  input: Input;
  at_ms: number;
}

/** Open the buttons and keys, wait for one of them, and close them. */
function answered(
  view: TrialView,
  levels: number,
  isCovered: () => boolean,
): Promise<Answered> {
  const listening = new AbortController();
  const { signal } = listening;
  return new Promise((resolve) => {
    const take = (answer: Answered): void => {
      if (isCovered()) return;
      listening.abort();
      view.open(false);
      resolve(answer);
    };
    view.open(true);
    for (const button of view.buttons) {
      button.addEventListener(
        "click",
        (event) =>
          take({
            chosen: button.dataset["row"] as Row,
            confidence: Number(button.dataset["confidence"]),
            input: inputOf(event),
            at_ms: event.timeStamp,
          }),
        { signal },
      );
    }
    document.addEventListener(
      "keydown",
      (event) => {
        const { altKey, ctrlKey, metaKey, repeat, code, timeStamp } = event;
        const answer = keyAnswer(code, levels);
        if (altKey || ctrlKey || metaKey || repeat || !answer) return;
        take({ ...answer, input: "keyboard", at_ms: timeStamp });
      },
      { signal },
    );
  });
}

function inputOf(event: MouseEvent): Input {
  if (event.detail === 0) return "keyboard";
  return (event as PointerEvent).pointerType === "touch" ? "touch" : "mouse";
}

/** Wait for the continue button, Enter or Space. */
function continued(view: TrialView, isCovered: () => boolean): Promise<void> {
  const listening = new AbortController();
  const { signal } = listening;
  return new Promise((resolve) => {
    const done = (): void => {
      if (isCovered()) return;
      listening.abort();
      resolve();
    };
    view.continueButton.addEventListener("click", done, { signal });
    document.addEventListener(
      "keydown",
      (event) => {
        const isKey = event.key === "Enter" || event.key === " ";
        // On a button the browser makes a click of it.
        if (!isKey || event.repeat || event.target instanceof HTMLButtonElement) return;
        event.preventDefault();
        done();
      },
      { signal },
    );
  });
}

/** Answer on the real screen, as a simulated participant does. */
async function clickThrough(display: HTMLElement, response: Response): Promise<void> {
  await delay(response.rt);
  const row = `[data-row="${response.chosen}"]`;
  const button = `${row}[data-confidence="${response.confidence}"]:enabled`;
  let found: HTMLElement | null = null;
  while (!(found = display.querySelector<HTMLElement>(button))) await delay(20);
  found.click();
  const trial = display.firstElementChild ?? element("div");
  while (trial.isConnected) {
    display.querySelector<HTMLElement>("[data-action=continue]")?.click();
    await delay(20);
  }
}
