/** The screens that are not trials: each shows itself and moves the session on. */

import type { Atlases } from "./atlases";
import { element, paragraphs, titled } from "./dom";
import { instruct } from "./instructions";
import { type MessageName, say } from "./messages";
import { page } from "./pages";
import { ask } from "./questions";
import type { DeclineReason, Session } from "./session";
import type { Screen, State } from "./types";
import { forever } from "./waiting";

type Show = (
  host: HTMLElement,
  session: Session,
  atlases: Atlases,
  minutesLeft: number | null,
) => Promise<void>;

export const SCREENS: Record<Exclude<Screen, "trial">, Show> = {
  consent,
  instructions,
  comprehension,
  practice_again: practiceAgain,
  practice_passed: practicePassed,
  break: takeBreak,
  feedback,
  debrief,
  end,
  declined: closing("declined.title", "declined.text"),
  practice_failed: closing("practice_failed.title", "practice_failed.text"),
  comprehension_failed: closing(
    "comprehension_failed.title",
    "comprehension_failed.text",
  ),
  withdrawn: closing("withdrawn.title", "withdrawn.text"),
  timed_out: closing("timed_out.title", "timed_out.text"),
};

const CONTINUE = "continue";

async function consent(host: HTMLElement, session: Session): Promise<void> {
  for (;;) {
    const action = await page(host, {
      ...titled(session.state.consent?.text ?? "", say("consent.title")),
      actions: [
        { name: "agree", text: say("button.agree") },
        { name: "decline", text: say("button.decline"), primary: false },
        { name: "cannot", text: say("button.cannot"), primary: false },
      ],
    });
    if (action === "agree") return session.consent(true);
    if (action === "decline") return session.consent(false);
    const reason = await cannot(host, session.state);
    if (reason) return session.consent(false, reason);
  }
}

const REASONS: readonly [DeclineReason, MessageName][] = [
  ["colour_vision", "button.cannot_colour"],
  ["device", "button.cannot_device"],
  ["declined", "button.cannot_other"],
];

/** Ask why somebody can't take part; null where they can after all. */
async function cannot(host: HTMLElement, state: State): Promise<DeclineReason | null> {
  const action = await page(host, {
    title: say("cannot.title"),
    text: say("cannot.text", { contact: state.contact }),
    layout: "choice",
    actions: [
      ...REASONS.map(([name, text]) => ({ name, text: say(text), primary: false })),
      { name: "back", text: say("button.back") },
    ],
  });
  return REASONS.find(([name]) => name === action)?.[0] ?? null;
}

async function instructions(
  host: HTMLElement,
  session: Session,
  atlases: Atlases,
): Promise<void> {
  const { instructions: given, settings } = session.state;
  if (!given) throw new Error("no-instructions");
  if (given.repeated) {
    await page(host, {
      title: say("repeated.title"),
      text: say("repeated.text"),
      actions: [{ name: CONTINUE, text: say("button.read_again") }],
    });
  }
  const viewings = await instruct(host, given.pages, given.example, atlases, {
    levels: settings.confidence_levels,
    keys: settings.keys ?? true,
    wording: settings.wording ?? {},
  });
  await session.instructed(viewings);
}

async function comprehension(host: HTMLElement, session: Session): Promise<void> {
  const { comprehension: given } = session.state;
  if (!given) throw new Error("no-questions");
  await session.comprehended(await ask(host, given));
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

async function takeBreak(
  host: HTMLElement,
  session: Session,
  _: Atlases,
  minutesLeft: number | null,
): Promise<void> {
  const timeLeft = minutesLeft && say("break.time_left", { minutes: minutesLeft });
  const percent = Math.round(session.state.progress * 100);
  await page(host, {
    title: say("break.title"),
    text: [say("break.text", { percent }), timeLeft].filter(Boolean).join("\n\n"),
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
