/** The screens that are not trials: each shows itself and moves the session on. */

import type { Atlases } from "./atlases";
import { element, paragraphs, titled } from "./dom";
import { instruct } from "./instructions";
import { type MessageName, say } from "./messages";
import { page } from "./pages";
import type { Session } from "./session";
import type { Screen, State } from "./types";

type Show = (host: HTMLElement, session: Session, atlases: Atlases) => Promise<void>;

export const SCREENS: Record<Exclude<Screen, "trial">, Show> = {
  consent,
  instructions,
  practice_again: practiceAgain,
  practice_passed: practicePassed,
  break: takeBreak,
  feedback,
  debrief,
  end,
  declined: closing("declined.title", "declined.text"),
  practice_failed: closing("practice_failed.title", "practice_failed.text"),
  withdrawn: closing("withdrawn.title", "withdrawn.text"),
  timed_out: closing("timed_out.title", "timed_out.text"),
};

const CONTINUE = "continue";

async function consent(host: HTMLElement, session: Session): Promise<void> {
  const action = await page(host, {
    ...titled(session.state.consent?.text ?? "", say("consent.title")),
    actions: [
      { name: "agree", text: say("button.agree") },
      { name: "decline", text: say("button.decline"), primary: false },
    ],
  });
  await session.consent(action === "agree");
}

async function instructions(
  host: HTMLElement,
  session: Session,
  atlases: Atlases,
): Promise<void> {
  const { instructions: given, settings } = session.state;
  if (!given) throw new Error("no-instructions");
  const viewings = await instruct(host, given.pages, given.example, atlases, {
    levels: settings.confidence_levels,
    keys: settings.keys ?? true,
    wording: settings.wording ?? {},
  });
  await session.instructed(viewings);
}

/** Tell what the practice is; shown before the first trial of its first round. */
export async function introducePractice(host: HTMLElement, state: State): Promise<void> {
  const practice = state.practice ?? { n_trials: 0, n_rounds_max: 1, round: 1 };
  await page(host, {
    title: say("practice.title"),
    text: say(
      practice.n_rounds_max > 1 ? "practice.text" : "practice.text_once",
      practice,
    ),
    actions: [{ name: CONTINUE, text: say("button.start_practice") }],
  });
}

async function practiceAgain(host: HTMLElement, session: Session): Promise<void> {
  const practice = session.state.practice ?? { n_trials: 0, n_rounds_max: 0, round: 0 };
  // The server counts the round that has just ended.
  const next = { ...practice, round: practice.round + 1 };
  await page(host, {
    title: say("practice_again.title"),
    text: say("practice_again.text", next),
    actions: [{ name: CONTINUE, text: say("button.continue") }],
  });
  await session.leave();
}

async function practicePassed(host: HTMLElement, session: Session): Promise<void> {
  await page(host, {
    title: say("practice_passed.title"),
    text: say("practice_passed.text"),
    actions: [{ name: CONTINUE, text: say("button.start_main") }],
  });
  await session.leave();
}

async function takeBreak(host: HTMLElement, session: Session): Promise<void> {
  const percent = Math.round(session.state.progress * 100);
  await page(host, {
    title: say("break.title"),
    text: say("break.text", { percent }),
    actions: [{ name: CONTINUE, text: say("button.continue") }],
  });
  await session.leave();
}

async function feedback(host: HTMLElement, session: Session): Promise<void> {
  const box = element("textarea", {
    rows: 7,
    maxlength: 10_000,
    "aria-label": say("feedback.label"),
  });
  await page(host, {
    title: say("feedback.title"),
    text: say("feedback.text"),
    more: [box],
    actions: [{ name: CONTINUE, text: say("button.continue") }],
  });
  await session.comment(box.value);
}

async function debrief(host: HTMLElement, session: Session): Promise<void> {
  await page(host, {
    ...titled(session.state.debrief?.text ?? "", say("debrief.title")),
    actions: [{ name: "finish", text: say("button.finish") }],
  });
  await session.finish();
}

async function end(host: HTMLElement, session: Session): Promise<void> {
  const code = session.state.completion_code;
  const more = code ? completionCode(code) : [];
  more.push(...paragraphs(say("end.close")));
  await page(host, { title: say("end.title"), text: say("end.text"), more });
  await forever();
}

function completionCode(code: string): HTMLElement[] {
  const box = element("output", { class: "code", "data-completion-code": true }, code);
  const button = element(
    "button",
    { type: "button", class: "primary", "data-action": "copy" },
    say("button.copy"),
  );
  button.addEventListener("click", () => {
    // Without a secure context there is no clipboard: the code is selected instead.
    getSelection()?.selectAllChildren(box);
    void navigator.clipboard?.writeText(code).then(() => {
      button.textContent = say("button.copied");
    });
  });
  return [
    element("p", {}, say("end.code")),
    element("div", { class: "code-row" }, box, button),
  ];
}

function closing(title: MessageName, text: MessageName): Show {
  return async (host, session) => {
    const { contact } = session.state;
    void page(host, { title: say(title), text: say(text, { contact }) });
    await forever();
  };
}

/** A last screen is never left. */
export function forever(): Promise<never> {
  return new Promise(() => undefined);
}
