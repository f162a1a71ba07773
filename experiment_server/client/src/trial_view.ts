/** The screen of one trial: two groups of examples, two queries, two rows of buttons. */

import "./trial.css";

import { element, line } from "./dom";
import { keyLabel } from "./keys";
import type { MessageName } from "./messages";
import type { Highlight, Point, Row, Trial } from "./types";
import { type Say, saying, type Wording } from "./wording";

export type Place = Pick<
  Trial,
  "cell" | "left" | "right" | "upper" | "lower" | "instruction"
>;

/** What a trial looks like beside its pictures. */
export interface Looks {
  /** Number of confidence steps in each row. */
  levels: number;
  /** Name under which the browser reports when the trial was painted. */
  name: string;
  /** Whether the buttons tell which keys give their answers; by default they do. */
  keys?: boolean;
  wording?: Wording;
}

/** What the instructions point at. */
interface Part {
  outlined: HTMLElement[];
  lit?: HTMLElement[];
}

/** What the pictures are cut from. */
interface Sheet {
  atlas: HTMLImageElement;
  cell: number;
  name: string;
}

export class TrialView {
  readonly root: HTMLElement;
  readonly buttons: HTMLButtonElement[] = [];
  readonly images: HTMLImageElement[] = [];
  readonly continueButton: HTMLButtonElement;
  readonly #say: Say;
  readonly #middle = element("div", { class: "middle" });
  readonly #queries: Record<Row, HTMLElement>;
  readonly #parts: Partial<Record<Highlight, Part>>;

  /** Build a trial that is laid out but not visible. */
  constructor(place: Place, atlas: HTMLImageElement, looks: Looks) {
    const { levels, keys, name } = looks;
    this.#say = saying(looks.wording ?? {});
    this.continueButton = element(
      "button",
      { type: "button", class: "continue", "data-action": "continue" },
      this.#say("button.continue"),
    );
    const sheet: Sheet = { atlas, cell: place.cell, name };
    const left = this.#group("left", place.left, sheet);
    const right = this.#group("right", place.right, sheet);
    this.#queries = {
      upper: this.#query("upper", place.upper, sheet),
      lower: this.#query("lower", place.lower, sheet),
    };
    const { upper, lower } = this.#queries;
    const rows = {
      upper: this.#row("upper", levels, keys ?? true),
      lower: this.#row("lower", levels, keys ?? true),
    };
    const question = element(
      "p",
      { class: "question" },
      ...line(this.#say(questionOf(place))),
    );
    this.#middle.append(this.#arrow());
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
    const grids = [gridOf(place.left.length), gridOf(place.right.length)];
    const columns = grids.reduce((sum, grid) => sum + grid.columns, 0);
    layout.style.setProperty("--columns", String(columns));
    layout.style.setProperty("--rows", String(Math.max(1, ...grids.map((one) => one.rows))));
    layout.style.setProperty("--levels", String(levels));
    this.#parts = {
      left: { outlined: left ? [left] : [] },
      right: { outlined: right ? [right] : [] },
      question: { outlined: [question] },
      queries: { outlined: [upper, lower] },
      upper_buttons: { outlined: [rows.upper], lit: [upper] },
      lower_buttons: { outlined: [rows.lower], lit: [lower] },
      confidence: { outlined: [answers], lit: [rows.upper, this.#middle, rows.lower] },
      frame: { outlined: [], lit: [upper] },
      verdict: { outlined: [], lit: [upper, lower] },
    };
  }

  /** Make sure that all pictures can be painted at once. */
  async decode(): Promise<void> {
    await Promise.all(this.images.map((image) => image.decode()));
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
      this.#say(`trial.${verdict}`),
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
    if (part !== "verdict") return;
    this.#queries.upper.classList.add("correct");
    this.#queries.lower.classList.add("incorrect");
  }

  #row(row: Row, levels: number, keys: boolean): HTMLElement {
    const buttons = Array.from({ length: levels }, (_, index) => {
      const confidence = index + 1;
      const name = this.#say(`trial.button_${row}`, { confidence, n_levels: levels });
      const shown = (kind: string, text: string): HTMLElement =>
        element("span", { class: kind, "aria-hidden": "true" }, text);
      return element(
        "button",
        {
          type: "button",
          class: "answer",
          disabled: true,
          "data-row": row,
          "data-confidence": confidence,
          "aria-keyshortcuts": keys ? keyLabel(row, confidence) : undefined,
        },
        element("span", { class: "spoken" }, name),
        shown("number", String(confidence)),
        keys ? shown("key", keyLabel(row, confidence)) : null,
      );
    });
    this.buttons.push(...buttons);
    return element("div", { class: `choices ${row}` }, ...buttons);
  }

  /** Return a side's examples under their title; null where it has none. */
  #group(
    side: "left" | "right",
    cells: readonly Point[],
    sheet: Sheet,
  ): HTMLElement | null {
    if (cells.length === 0) return null;
    const images = cells.map((from, index) =>
      this.#picture(this.#say(`trial.image_${side}`, { number: index + 1 }), from, sheet),
    );
    const grid = element("div", { class: "cells" }, ...images);
    grid.style.setProperty("--n-across", String(gridOf(cells.length).columns));
    const title = this.#say(`trial.${side}`);
    return element(
      "section",
      { class: `group ${side}`, "aria-label": title },
      element("h2", {}, title),
      grid,
    );
  }

  #query(row: Row, from: Point, sheet: Sheet): HTMLElement {
    const picture = this.#picture(this.#say(`trial.image_${row}`), from, sheet);
    return element("div", { class: `query ${row}` }, picture);
  }

  /** A window of one cell onto the atlas. */
  #picture(
    alt: string,
    [x, y]: Point,
    { atlas, cell, name }: Sheet,
  ): HTMLElement {
    const image = element("img", {
      src: atlas.src,
      alt,
      // Painted together with all that is around it, not when it is convenient.
      decoding: "sync",
      draggable: "false",
      elementtiming: name,
    });
    const inCells = {
      "--across": atlas.naturalWidth / cell,
      "--down": atlas.naturalHeight / cell,
      "--x": x / cell,
      "--y": y / cell,
    };
    for (const [property, value] of Object.entries(inCells)) {
      image.style.setProperty(property, String(value));
    }
    this.images.push(image);
    return element("div", { class: "picture" }, image);
  }

  #arrow(): HTMLElement {
    return element(
      "span",
      { class: "arrow" },
      element("span", { class: "arrow-words" }, this.#say("trial.more_confident")),
      element("span", { class: "arrow-line", "aria-hidden": "true" }),
    );
  }
}

/** The question is about the right examples, or about what there is. */
function questionOf({ instruction, left, right }: Place): MessageName {
  if (instruction) return `trial.choose_${instruction.choose}`;
  if (right.length > 0) return "trial.question";
  return left.length > 0 ? "trial.question_left" : "trial.question_none";
}

/** As many columns as make the grid a square, or nearly. */
function gridOf(n: number): { columns: number; rows: number } {
  const columns = Math.ceil(Math.sqrt(n));
  return { columns, rows: n === 0 ? 0 : Math.ceil(n / columns) };
}
