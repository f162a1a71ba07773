/** Pages of text: a title, paragraphs, and buttons of which one ends the page. */

import { element, paragraphs } from "./dom";
import { say } from "./messages";

export interface Action {
  /** Stable name, for tests and simulated observers. */
  name: string;
  text: string;
  primary?: boolean;
  /** Whether the page may be left by this button now. */
  isAllowed?: () => boolean;
}

interface Page {
  title: string;
  text?: string;
  more?: readonly Node[];
  actions?: readonly Action[];
  /** How the buttons stand: side by side, or one above the other. */
  layout?: "row" | "choice";
}

let studyTitle = "";

export function setStudyTitle(title: string): void {
  studyTitle = title;
  document.title = title;
}

/** Name the window after what it shows. */
export function setTitle(title: string): void {
  const isNew = title !== "" && title !== studyTitle;
  document.title = isNew ? `${title} – ${studyTitle}` : studyTitle;
}

/** Show a page; resolves with the name of the action that was chosen. */
export function page(host: HTMLElement, given: Page): Promise<string> {
  const { title, text, more, actions, layout = "row" } = given;
  const heading = element("h1", { tabindex: -1 }, title);
  const buttons = (actions ?? []).map((action) =>
    element(
      "button",
      {
        type: "button",
        class: action.primary === false ? "" : "primary",
        "data-action": action.name,
      },
      action.text,
    ),
  );
  const below = moreBelow();
  const row = element("div", { class: `actions ${layout}` }, below.hint, ...buttons);
  host.replaceChildren(
    element(
      "article",
      { class: "page", "data-ready": "true" },
      heading,
      ...(text ? paragraphs(text) : []),
      ...(more ?? []),
      below.end,
      buttons.length ? row : null,
    ),
  );
  setTitle(title);
  host.closest("main")?.scrollTo(0, 0);
  heading.focus({ preventScroll: true });
  const listening = new AbortController();
  const { signal } = listening;
  below.watch(row.offsetHeight, signal);
  return new Promise((resolve) => {
    for (const [index, button] of buttons.entries()) {
      const action = actions![index]!;
      const choose = (): void => {
        if (action.isAllowed?.() === false) return;
        listening.abort();
        resolve(action.name);
      };
      button.addEventListener("click", choose, { signal });
    }
    if (buttons.length === 1) pressOnEnter(buttons[0]!, below.hint, signal);
  });
}

/** Tell that a page goes on below the buttons, which stay in sight; pressed, go there. */
function moreBelow(): {
  hint: HTMLElement;
  end: HTMLElement;
  watch: (covered: number, signal: AbortSignal) => void;
} {
  const end = element("div", { class: "end-of-text" });
  // Keys and screen readers come to what is below without it.
  const hint = element(
    "button",
    { type: "button", class: "below", tabindex: -1, "aria-hidden": "true", hidden: true },
    `↓ ${say("button.below")}`,
  );
  hint.addEventListener("click", () => {
    const stage = hint.closest("main");
    stage?.scrollBy({ top: 0.7 * stage.clientHeight });
  });
  const watch = (covered: number, signal: AbortSignal): void => {
    const seen = new IntersectionObserver(
      ([entry]) => (hint.hidden = entry!.isIntersecting),
      { root: hint.closest("main"), rootMargin: `0px 0px -${covered}px` },
    );
    seen.observe(end);
    signal.addEventListener("abort", () => seen.disconnect());
  };
  return { hint, end, watch };
}

/**
 * Let Enter and Space press the only button of a page, wherever the focus is.
 *
 * Where there is more below, Space scrolls there first, as it does everywhere.
 */
function pressOnEnter(
  button: HTMLButtonElement,
  hint: HTMLElement,
  signal: AbortSignal,
): void {
  const onKey = (event: KeyboardEvent): void => {
    const { key, repeat, target } = event;
    const takesKeys =
      target instanceof HTMLButtonElement ||
      target instanceof HTMLTextAreaElement ||
      (key === " " && (target instanceof HTMLInputElement || !hint.hidden));
    const isOver = document.querySelector("dialog[open]") !== null;
    if (takesKeys || repeat || isOver || (key !== "Enter" && key !== " ")) return;
    event.preventDefault();
    button.click();
  };
  document.addEventListener("keydown", onKey, { signal });
}
