/** What surrounds every screen: progress, notices, the way out, and the window check. */

import { askToStop, showKeys } from "./dialogs";
import { element, paragraphs } from "./dom";
import { say } from "./messages";
import { noticeBar } from "./notices";
import type { DialogEvent, Screen, State } from "./types";
import { isFullscreen } from "./watch";

/** Screens before there is a session, and those of the page itself. */
export type OwnScreen = "start" | "practice" | "fullscreen" | "taken_over" | "problem";

/** Screens that show pictures, or lead to them. */
const NEEDS_ROOM: ReadonlySet<Screen | OwnScreen> = new Set([
  "start",
  "consent",
  "instructions",
  "comprehension",
  "fullscreen",
  "practice",
  "trial",
  "practice_again",
  "practice_passed",
  "break",
]);

/** Screens of a session that is still going on. */
const CAN_STOP: ReadonlySet<Screen | OwnScreen> = new Set([
  "instructions",
  "comprehension",
  "fullscreen",
  "practice",
  "trial",
  "practice_again",
  "practice_passed",
  "break",
  "feedback",
  "debrief",
]);

/** Screens on which keys give answers, or soon will. */
const HAS_KEYS: ReadonlySet<Screen | OwnScreen> = new Set([
  "instructions",
  "practice",
  "trial",
  "practice_again",
  "practice_passed",
  "break",
]);

export interface Shown {
  state?: State;
  minWindow: [number, number];
  minutesLeft?: number | null;
}

export class Frame {
  readonly stage = element("main", { id: "stage" });
  readonly #label = element("span", { class: "label" });
  readonly #left = element("span", { class: "time-left", "data-time-left": true });
  readonly #keys = quietButton("keys", "?", say("keys.title"));
  readonly #full = quietButton("fullscreen", say("button.fullscreen"));
  readonly #stop = quietButton("stop", say("button.stop"));
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
  #screen: Screen | OwnScreen = "start";
  /** Confidence steps that keys can give; null where keys give no answers. */
  #levels: number | null = null;
  #offersFullscreen = false;
  #isClosed = false;
  /** What stopping means for the answers and for the pay. */
  withdrawal: string | null = null;
  /** Whom participants can ask, once that is known. */
  contact: string | null = null;
  /** Called when a dialog opens over the screen, and when it closes. */
  onDialog: (event: DialogEvent) => void = () => undefined;

  constructor(
    private readonly root: HTMLElement,
    onStop: (deletes: boolean) => void,
  ) {
    const tools = element("div", { class: "tools" }, this.#full, this.#keys, this.#stop);
    const top = element(
      "header",
      {},
      this.#progress,
      this.#label,
      this.#left,
      noticeBar(),
      tools,
    );
    this.#inside = element("div", { class: "inside" }, top, this.stage);
    root.replaceChildren(this.#inside, this.#tooSmall);
    this.#stop.addEventListener("click", async () => {
      const wish = await this.#told("stop", askToStop(root, this.withdrawal));
      if (wish) onStop(wish === "delete");
    });
    this.#keys.addEventListener("click", () => this.#help());
    this.#full.addEventListener("click", () => void enterFullscreen());
    addEventListener("resize", () => this.#checkWindow());
    document.addEventListener("keydown", ignoreHeldKey, { capture: true });
    document.addEventListener("keydown", (event) => this.#helpOnKey(event));
  }

  /** Tell of another screen. */
  show(screen: Screen | OwnScreen, { state, minWindow, minutesLeft }: Shown): void {
    if (this.#isClosed) return;
    this.#screen = screen;
    this.#minWindow = minWindow;
    this.root.dataset["screen"] = screen;
    this.#stop.hidden = !CAN_STOP.has(screen);
    this.#keys.hidden = !HAS_KEYS.has(screen);
    this.#label.textContent = screen === "trial" && state ? label(state) : "";
    // A break tells it in its text.
    this.#left.textContent = minutesLeft && screen === "trial" ? timeLeft(minutesLeft) : "";
    if (state) {
      this.contact = state.contact;
      const { confidence_levels, keys } = state.settings;
      this.#levels = (keys ?? true) ? confidence_levels : null;
      this.#offersFullscreen = state.settings.fullscreen === "ask";
      const percent = Math.round(state.progress * 100);
      this.#progress.hidden = false;
      this.#progress.setAttribute("aria-valuenow", String(percent));
      this.#bar.style.inlineSize = `${state.progress * 100}%`;
    }
    this.checkFullscreen();
    this.#checkWindow();
  }

  /** Offer the whole screen where the study asks for it and the window is smaller. */
  checkFullscreen(): void {
    const offers = this.#offersFullscreen && document.fullscreenEnabled;
    this.#full.hidden = !offers || isFullscreen() || !CAN_STOP.has(this.#screen);
  }

  /** Whether something lies over the screen. */
  isCovered(): boolean {
    const isOver = document.querySelector("dialog[open]") !== null;
    return this.#isClosed || !this.#tooSmall.hidden || isOver;
  }

  /** Leave the session's screens for good; returns where a last page can be shown. */
  close(screen: OwnScreen): HTMLElement {
    this.show(screen, { minWindow: [0, 0] });
    this.#isClosed = true;
    document.querySelector("dialog[open]")?.remove();
    const host = element("div");
    this.stage.replaceChildren(host);
    return host;
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

  #helpOnKey({ key, target }: KeyboardEvent): void {
    const types = target instanceof HTMLTextAreaElement;
    if (key !== "?" || types || this.#keys.hidden || this.isCovered()) return;
    this.#help();
  }

  #help(): void {
    void this.#told("keys", showKeys(this.root, this.#levels));
  }

  async #told<Result>(name: "keys" | "stop", dialog: Promise<Result>): Promise<Result> {
    this.onDialog(`${name}_opened`);
    const result = await dialog;
    this.onDialog(`${name}_closed`);
    return result;
  }
}

/** Fill the screen; a browser may refuse, and then the window stays as it is. */
export async function enterFullscreen(): Promise<void> {
  await document.documentElement.requestFullscreen?.().catch(() => undefined);
}

function quietButton(action: string, text: string, name?: string): HTMLButtonElement {
  return element(
    "button",
    {
      type: "button",
      class: "quiet",
      "data-action": action,
      hidden: true,
      ...(name ? { "aria-label": name, title: name } : {}),
    },
    text,
  );
}

function label({ practice, score }: State): string {
  if (practice) {
    return practice.n_rounds_max > 1
      ? say("practice.label", practice)
      : say("trial.practice");
  }
  return score ? say("trial.score", score) : "";
}

function timeLeft(minutes: number): string {
  return minutes <= 1 ? say("time_left.one") : say("time_left.minutes", { minutes });
}

/** A key that is held must not press the buttons of the screens that follow. */
function ignoreHeldKey(event: KeyboardEvent): void {
  const types = event.target instanceof HTMLTextAreaElement;
  if (event.repeat && !types && ["Enter", " "].includes(event.key)) {
    event.preventDefault();
  }
}
