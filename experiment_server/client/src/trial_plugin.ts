/** The jsPsych plugin of this task: two queries between two groups of examples. */

import {
  type JsPsych,
  type JsPsychPlugin,
  ParameterType,
  type PluginInfo,
  type TrialType,
} from "jspsych";

import type { Atlas } from "./atlases";
import { type Display, display as displayNow, learnRefresh } from "./display";
import { element } from "./dom";
import { keyAnswer } from "./keys";
import { show } from "./onset";
import { type Place, TrialView } from "./trial_view";
import type { Input, Onset, Row } from "./types";
import { delay } from "./waiting";
import type { Wording } from "./wording";

/** What the participant did, before it is stored. */
export interface Response {
  chosen: Row;
  confidence: number;
  rt: number;
  input: Input;
  onset: Onset;
  display: Display;
  shown_at: string;
}

const info = {
  name: "two-groups-choice",
  version: "0.1.0",
  parameters: {
    /** Address of the atlas: one image that holds all images of the trial. */
    image: { type: ParameterType.STRING, default: undefined },
    /** Atlas positions, in pixels: cell (side of a square), left and right (lists of
     * [x, y], of any lengths, 0 too), upper and lower ([x, y]), instruction (null or
     * {choose: row}). */
    place: { type: ParameterType.OBJECT, default: undefined },
    /** Fetches and decodes an atlas: address to {image, decode_ms}, where
     * image is a decoded HTMLImageElement. */
    load_image: { type: ParameterType.FUNCTION, default: undefined },
    /** Number of confidence steps in each row, 2 to 6. */
    confidence_levels: { type: ParameterType.INT, default: 3 },
    /** Whether keys give answers too, and stand on the buttons. */
    keys: { type: ParameterType.BOOL, default: true },
    /** Texts in place of the page's own, by the names of messages/en.json. */
    wording: { type: ParameterType.OBJECT, default: {} },
    /** Answers are refused for this long after onset, in ms. */
    lock: { type: ParameterType.INT, default: 0 },
    /** Stores the response; resolves with {correct} where there is feedback, or null.
     * null: nothing is stored and there is no feedback. */
    submit: { type: ParameterType.FUNCTION, default: null },
    /** Called when the trial is shown, with its element and the onset in ms. */
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
    /** How the onset was taken, with its quality: {method, lag_ms, element_ms, frame_ms,
     * decode_ms}. */
    onset: { type: ParameterType.OBJECT },
    /** {width, height, device_pixel_ratio, zoom, fullscreen, refresh_hz}. */
    display: { type: ParameterType.OBJECT },
    /** UTC time of the onset, ISO 8601. */
    shown_at: { type: ParameterType.STRING },
    /** null where there was no feedback. */
    correct: { type: ParameterType.BOOL },
  },
} as const satisfies PluginInfo;

const NOTHING_SHOWN: Onset = {
  method: "none",
  lag_ms: null,
  element_ms: null,
  frame_ms: null,
  decode_ms: null,
};

type Info = typeof info;
/** Parameters as jsPsych hands them over, with defaults filled in. */
type Given = Required<TrialType<Info>>;

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
    void learnRefresh();
    const atlas = (await trial.load_image(trial.image)) as Atlas;
    TwoGroupsChoicePlugin.#nShown += 1;
    const name = `trial-${TwoGroupsChoicePlugin.#nShown}`;
    const view = new TrialView(trial.place as Place, atlas.image, {
      levels: trial.confidence_levels,
      name,
      keys: trial.keys,
      wording: trial.wording as Wording,
    });
    display.replaceChildren(view.root);
    while (trial.is_covered()) await delay(50);
    // Browsers throw away what they decoded early; by now it may be gone.
    await view.decode();
    const shown = await show(() => view.reveal(), name, view.images.length);
    trial.on_shown?.(view.root, shown.onset_ms);
    onLoad?.();
    await delay(shown.onset_ms + trial.lock - performance.now());
    const answer = await answered(view, trial);
    view.choose(answer.chosen);
    const response: Response = {
      chosen: answer.chosen,
      confidence: answer.confidence,
      rt: Math.max(0, answer.at_ms - shown.onset_ms),
      input: answer.input,
      onset: shown.quality(atlas.decode_ms),
      display: displayNow(),
      shown_at: new Date(performance.timeOrigin + shown.onset_ms).toISOString(),
    };
    shown.release();
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
      onset: NOTHING_SHOWN,
      display: displayNow(),
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

interface Answered {
  chosen: Row;
  confidence: number;
  input: Input;
  at_ms: number;
}

/** Open the buttons and keys, wait for one of them, and close them. */
function answered(view: TrialView, trial: Given): Promise<Answered> {
  const listening = new AbortController();
  const { signal } = listening;
  return new Promise((resolve) => {
    const take = (answer: Answered): void => {
      if (trial.is_covered()) return;
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
    if (!trial.keys) return;
    document.addEventListener(
      "keydown",
      (event) => {
        const { altKey, ctrlKey, metaKey, repeat, code, timeStamp } = event;
        const answer = keyAnswer(code, trial.confidence_levels);
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
