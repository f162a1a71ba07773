/** The screen of one trial: two groups of examples, two queries, two rows of buttons. */

import { drawCell, element, line } from "./dom";
import { keyLabel } from "./keys";
import { say } from "./messages";
import type { Highlight, Point, Row, Trial } from "./types";

export type Place = Pick<
  Trial,
  "cell" | "left" | "right" | "upper" | "lower" | "instruction"
>;

/** What the instructions point at. */
interface Part {
  outlined: HTMLElement[];
  lit?: HTMLElement[];
}

export class TrialView {
  readonly root: HTMLElement;
  readonly buttons: HTMLButtonElement[] = [];
  readonly continueButton = element(
    "button",
    { type: "button", class: "continue", "data-action": "continue" },
    say("button.continue"),
  );
  readonly #middle = element("div", { class: "middle" });
  readonly #queries: Record<Row, HTMLElement>;
  readonly #parts: Partial<Record<Highlight, Part>>;

  /** Build a trial that is laid out but not visible. */
  constructor(place: Place, atlas: ImageBitmap, levels: number, name: string) {
    const left = group("left", place.left, place.cell, atlas);
    const right = group("right", place.right, place.cell, atlas);
    this.#queries = {
      upper: query("upper", place.upper, place.cell, atlas),
      lower: query("lower", place.lower, place.cell, atlas),
    };
    const rows = { upper: this.#row("upper", levels), lower: this.#row("lower", levels) };
    const question = element(
      "p",
      { class: "question", elementtiming: name },
      ...line(say(questionOf(place))),
    );
    this.#middle.append(arrow());
    const { upper, lower } = this.#queries;
    const answers = element(
      "div",
      { class: "answers" },
      rows.upper,
      this.#middle,
      rows.lower,
    );
    const centre = element("div", { class: "centre" }, upper, answers, lower);
    const layout = element("div", { class: "layout" }, question, left, centre, right);
    this.root = element("div", { class: "trial" }, layout);
    const columns = Math.max(1, Math.ceil(Math.sqrt(place.right.length)));
    const cells = Math.ceil(place.right.length / columns);
    layout.style.setProperty("--columns", String(columns));
    layout.style.setProperty("--rows", String(cells));
    layout.style.setProperty("--levels", String(levels));
    this.#parts = {
      left: { outlined: [left] },
      right: { outlined: [right] },
      question: { outlined: [question] },
      queries: { outlined: [upper, lower] },
      upper_buttons: { outlined: [rows.upper], lit: [upper] },
      lower_buttons: { outlined: [rows.lower], lit: [lower] },
      confidence: { outlined: [answers], lit: [rows.upper, this.#middle, rows.lower] },
      frame: { outlined: [], lit: [upper] },
    };
  }

  /** Show all of it in one style change. */
  reveal(): void {
    this.root.classList.add("shown");
  }

  open(isOpen: boolean): void {
    for (const button of this.buttons) button.disabled = !isOpen;
    if (isOpen) this.root.dataset["ready"] = "true";
    else delete this.root.dataset["ready"];
  }

  choose(row: Row): void {
    this.#queries[row].classList.add("chosen");
  }

  /** Colour the frame of the chosen query and say the verdict. */
  showVerdict(row: Row, correct: boolean): void {
    const verdict = correct ? "correct" : "incorrect";
    this.#queries[row].classList.add(verdict);
    const word = element(
      "span",
      { class: `word ${verdict}`, role: "status" },
      say(`trial.${verdict}`),
    );
    this.#middle.replaceChildren(word);
  }

  offerToContinue(): void {
    this.#middle.replaceChildren(this.continueButton);
    this.continueButton.focus({ preventScroll: true });
  }

  /** Make one part stand out, as the instructions do. */
  highlight(part: Highlight): void {
    const { outlined = [], lit = [] } = this.#parts[part] ?? {};
    if (part in this.#parts) this.root.classList.add("dimmed");
    for (const one of [...outlined, ...lit]) one.classList.add("lit");
    for (const one of outlined) one.classList.add("outlined");
    if (part === "frame") this.choose("upper");
  }

  #row(row: Row, levels: number): HTMLElement {
    const buttons = Array.from({ length: levels }, (_, index) => {
      const confidence = index + 1;
      return element(
        "button",
        {
          type: "button",
          class: "answer",
          disabled: true,
          "data-row": row,
          "data-confidence": confidence,
          "aria-label": say(`trial.button_${row}`, { confidence, n_levels: levels }),
        },
        element("span", { class: "number" }, String(confidence)),
        element("span", { class: "key" }, keyLabel(row, confidence)),
      );
    });
    this.buttons.push(...buttons);
    return element("div", { class: `choices ${row}` }, ...buttons);
  }
}

function questionOf(place: Place): "trial.question" | `trial.choose_${Row}` {
  return place.instruction
    ? `trial.choose_${place.instruction.choose}`
    : "trial.question";
}

function group(
  side: "left" | "right",
  cells: readonly Point[],
  cell: number,
  atlas: ImageBitmap,
): HTMLElement {
  const images = cells.map((from, index) =>
    image(say(`trial.image_${side}`, { number: index + 1 }), from, cell, atlas),
  );
  return element(
    "section",
    { class: `group ${side}`, "aria-label": say(`trial.${side}`) },
    element("h2", {}, say(`trial.${side}`)),
    element("div", { class: "cells" }, ...images),
  );
}

function query(row: Row, from: Point, cell: number, atlas: ImageBitmap): HTMLElement {
  return element(
    "div",
    { class: `query ${row}` },
    image(say(`trial.image_${row}`), from, cell, atlas),
  );
}

function image(
  name: string,
  from: Point,
  cell: number,
  atlas: ImageBitmap,
): HTMLCanvasElement {
  const canvas = element("canvas", { role: "img", "aria-label": name });
  drawCell(canvas, atlas, from, cell);
  return canvas;
}

function arrow(): HTMLElement {
  return element(
    "span",
    { class: "arrow" },
    element("span", { class: "arrow-words" }, say("trial.more_confident")),
    element("span", { class: "arrow-line", "aria-hidden": "true" }),
  );
}
