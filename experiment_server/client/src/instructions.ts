/** The instructions: each page beside a real trial with the part it speaks of. */

import "./instructions.css";

import type { Atlases } from "./atlases";
import { element, paragraphs } from "./dom";
import { say } from "./messages";
import { type Looks, TrialView } from "./trial_view";
import type { InstructionPage, Trial } from "./types";

export interface Viewing {
  page: number;
  viewing_ms: number;
}

/** Page through the instructions; resolves with how long each was on screen. */
export async function instruct(
  host: HTMLElement,
  pages: readonly InstructionPage[],
  example: Trial,
  atlases: Atlases,
  looks: Omit<Looks, "name">,
): Promise<Viewing[]> {
  const { image } = await atlases.get(example.image);
  const viewings: Viewing[] = [];
  let index = 0;
  while (index < pages.length) {
    const view = new TrialView(example, image, { ...looks, name: `example-${index}` });
    view.reveal();
    view.highlight(pages[index]!.highlight);
    view.root.inert = true;
    const before = performance.now();
    const step = await turned(host, view.root, pages, index);
    viewings.push({ page: index, viewing_ms: performance.now() - before });
    index += step;
  }
  return viewings;
}

function turned(
  host: HTMLElement,
  picture: HTMLElement,
  pages: readonly InstructionPage[],
  index: number,
): Promise<1 | -1> {
  const button = (step: 1 | -1): HTMLButtonElement =>
    element(
      "button",
      {
        type: "button",
        class: step === 1 ? "primary" : "",
        "data-action": step === 1 ? "next" : "back",
        disabled: index + step < 0,
      },
      say(step === 1 ? "button.next" : "button.back"),
    );
  const [back, next] = [button(-1), button(1)];
  const number = { page: index + 1, n_pages: pages.length };
  const text = element(
    "article",
    { class: "instruction-text", tabindex: -1, "aria-live": "polite" },
    element("h1", {}, say("instructions.title")),
    ...paragraphs(pages[index]!.text),
    element(
      "div",
      { class: "actions" },
      back,
      element("span", { class: "page-number" }, say("instructions.page", number)),
      next,
    ),
  );
  host.replaceChildren(
    element("div", { class: "instructions", "data-ready": "true" }, text, picture),
  );
  next.focus({ preventScroll: true });
  const listening = new AbortController();
  const { signal } = listening;
  return new Promise((resolve) => {
    const turn = (step: 1 | -1): void => {
      if (index + step < 0) return;
      listening.abort();
      resolve(step);
    };
    back.addEventListener("click", () => turn(-1), { signal });
    next.addEventListener("click", () => turn(1), { signal });
    document.addEventListener(
      "keydown",
      ({ key, repeat }) => {
        if (document.querySelector("dialog[open]") || repeat) return;
        if (key === "ArrowLeft") turn(-1);
        // The last page is left by its button only.
        if (key === "ArrowRight" && index + 1 < pages.length) turn(1);
      },
      { signal },
    );
  });
}
