/** What surrounds every screen: progress, notices, the way out, and the window check. */

import { element, paragraphs } from "./dom";
import { type MessageName, say } from "./messages";
import { noticeBar } from "./notices";
import type { Screen, State } from "./types";

/** Screens that show pictures, or lead to them. */
const NEEDS_ROOM: ReadonlySet<Screen | "start"> = new Set([
  "start",
  "consent",
  "instructions",
  "trial",
  "practice_again",
  "practice_passed",
  "break",
]);

/** Screens of a session that is still going on. */
const CAN_STOP: ReadonlySet<Screen> = new Set([
  "instructions",
  "trial",
  "practice_again",
  "practice_passed",
  "break",
  "feedback",
  "debrief",
]);

export class Frame {
  readonly stage = element("main", { id: "stage" });
  readonly #label = element("span", { class: "label" });
  readonly #stop = element(
    "button",
    { type: "button", class: "quiet", "data-action": "stop", hidden: true },
    say("button.stop"),
  );
  readonly #bar = element("div", { class: "bar" });
  readonly #progress = element(
    "div",
    {
      class: "progress",
      role: "progressbar",
      "aria-label": say("progress.label"),
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      hidden: true,
    },
    this.#bar,
  );
  readonly #tooSmall = element("div", { class: "cover", role: "alert", hidden: true });
  readonly #inside: HTMLElement;
  #minWindow: [number, number] = [0, 0];
  #screen: Screen | "start" = "start";

  constructor(
    private readonly root: HTMLElement,
    onStop: (dialog: HTMLDialogElement) => void,
  ) {
    const top = element("header", {}, this.#label, this.#stop);
    this.#inside = element(
      "div",
      { class: "inside" },
      this.#progress,
      top,
      noticeBar(),
      this.stage,
    );
    root.replaceChildren(this.#inside, this.#tooSmall);
    this.#stop.addEventListener("click", () => this.#askToStop(onStop));
    addEventListener("resize", () => this.#checkWindow());
    document.addEventListener("keydown", ignoreHeldKey, { capture: true });
  }

  /** Tell of another screen. */
  show(screen: Screen | "start", minWindow: [number, number], state?: State): void {
    this.#screen = screen;
    this.#minWindow = minWindow;
    this.root.dataset["screen"] = screen;
    this.#stop.hidden = screen === "start" || !CAN_STOP.has(screen);
    this.#label.textContent = state ? label(state) : "";
    if (state) {
      const percent = Math.round(state.progress * 100);
      this.#progress.hidden = false;
      this.#progress.setAttribute("aria-valuenow", String(percent));
      this.#bar.style.inlineSize = `${state.progress * 100}%`;
    }
    this.#checkWindow();
  }

  /** Whether something lies over the screen. */
  isCovered(): boolean {
    return !this.#tooSmall.hidden || document.querySelector("dialog[open]") !== null;
  }

  #checkWindow(): void {
    const [width, height] = this.#minWindow;
    const fits = innerWidth >= width && innerHeight >= height;
    const covered = !fits && NEEDS_ROOM.has(this.#screen);
    this.#tooSmall.hidden = !covered;
    this.#inside.inert = covered;
    if (!covered) return;
    const sizes = { width, height, width_now: innerWidth, height_now: innerHeight };
    this.#tooSmall.replaceChildren(
      element(
        "div",
        { class: "page" },
        element("h1", {}, say("window.title")),
        ...paragraphs(say("window.text", sizes)),
      ),
    );
  }

  #askToStop(onStop: (dialog: HTMLDialogElement) => void): void {
    const button = (name: MessageName, value: string, kind = ""): HTMLButtonElement =>
      element("button", { value, class: kind, "data-action": value }, say(name));
    const dialog = element(
      "dialog",
      { "aria-labelledby": "stop-title" },
      element(
        "form",
        { method: "dialog" },
        element("h1", { id: "stop-title" }, say("stop.title")),
        ...paragraphs(say("stop.text")),
        element(
          "div",
          { class: "actions column" },
          button("button.go_on", "go-on", "primary"),
          button("button.stop_keep", "keep"),
          button("button.stop_delete", "delete"),
        ),
      ),
    );
    this.root.append(dialog);
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (["keep", "delete"].includes(dialog.returnValue)) onStop(dialog);
    });
    dialog.showModal();
  }
}

function label(state: State): string {
  const { screen, practice, score } = state;
  if (screen !== "trial") return "";
  if (practice) {
    return practice.n_rounds_max > 1
      ? say("practice.label", practice)
      : say("trial.practice");
  }
  return score ? say("trial.score", score) : "";
}

/** A key that is held must not press the buttons of the screens that follow. */
function ignoreHeldKey(event: KeyboardEvent): void {
  const types = event.target instanceof HTMLTextAreaElement;
  if (event.repeat && !types && ["Enter", " "].includes(event.key)) {
    event.preventDefault();
  }
}
