/** The participant's page: finds the session, or offers to start one, and runs it. */

import "./pages.css";

import { insist, Refusal } from "./api";
import { element } from "./dom";
import { type Entry, readEntry } from "./entry";
import { Frame } from "./frame";
import { learnLayout } from "./keys";
import { say, useLanguage } from "./messages";
import { Pace } from "./pace";
import { page, setStudyTitle } from "./pages";
import { runSession, showProblem, showTakenOver } from "./run";
import { Session } from "./session";
import { Store } from "./store";
import { Tabs } from "./tabs";
import type { StudyInfo } from "./types";
import { forever } from "./waiting";
import { Watch } from "./watch";

/** A trial and the pause after it, where the study doesn't say how long it takes. */
const TRIAL_MS = 8500;

/** Offer to start; resolves with the session when the participant does. */
async function start(
  entry: Entry,
  study: StudyInfo,
  store: Store,
  frame: Frame,
): Promise<Session> {
  const host = element("div");
  frame.stage.replaceChildren(host);
  frame.show("start", { minWindow: study.min_window });
  const minutes = study.expected_minutes ?? null;
  const text = [
    say("start.text", { n_trials: study.n_trials }),
    minutes !== null && say("start.minutes", { minutes: Math.ceil(minutes) }),
    say("start.unrecorded"),
    entry.test_run && say("start.test_run"),
    entry.observer && say("start.simulated"),
  ];
  await page(host, {
    title: study.title,
    text: text.filter(Boolean).join("\n\n"),
    more: [needs(study)],
    actions: [{ name: "start", text: say("button.start") }],
  });
  try {
    return await Session.start(entry, store);
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== "study-full") throw error;
    void page(host, {
      title: say("study_full.title"),
      text: say("study_full.text", { contact: study.contact }),
    });
    return forever();
  }
}

/** What somebody needs to take part. */
function needs({ min_window: [width, height], keys }: StudyInfo): HTMLElement {
  const device = (keys ?? true) ? "needs.device" : "needs.mouse";
  const list = [say("needs.eyes"), say(device), say("needs.window", { width, height })];
  return element(
    "section",
    { class: "needs", "aria-labelledby": "needs-title" },
    element("h2", { id: "needs-title" }, say("needs.title")),
    element("ul", {}, ...list.map((need) => element("li", {}, need))),
  );
}

async function main(root: HTMLElement): Promise<void> {
  let session: Session | null = null;
  useLanguage(document.documentElement.lang);
  const frame = new Frame(root, (deletes) => {
    void session?.withdraw(deletes).then(() => location.reload());
  });
  try {
    const [study] = await Promise.all([insist<StudyInfo>("study"), learnLayout()]);
    setStudyTitle(study.title);
    frame.withdrawal = study.withdrawal ?? null;
    frame.contact = study.contact;
    const store = await Store.open(study.study_id);
    const tabs = new Tabs(study.study_id);
    const watch = new Watch(store);
    frame.onDialog = (event) => watch.record(event);
    const entry = readEntry(location.search);
    const known = await Session.resume(entry, store);
    session = known ?? (await start(entry, study, store, frame));
    frame.stage.replaceChildren();
    const { participant, key } = store.session()!;
    session.onTakenOver = () => {
      watch.record("taken_over");
      void showTakenOver(frame);
    };
    session.onFailure = (error) => void showProblem(frame, error);
    tabs.announce({ participant, key });
    tabs.onTakenOver({ participant, key }, () => session?.yield());
    watch.onFullscreen = () => frame.checkFullscreen();
    watch.follow(session);
    await runSession(session, frame, watch, new Pace(trialTime(study)));
  } catch (error) {
    const isElsewhere = error instanceof Refusal && error.code === "taken-over";
    await (isElsewhere ? showTakenOver(frame) : showProblem(frame, error));
  }
}

function trialTime({ expected_minutes, n_trials }: StudyInfo): number {
  return expected_minutes ? (expected_minutes * 60_000) / (n_trials + 10) : TRIAL_MS;
}

/** Resolve when somebody looks at the page, and not only a browser in advance. */
function shown(): Promise<void> {
  const prerendered = (document as Document & { prerendering?: boolean }).prerendering;
  if (!prerendered) return Promise.resolve();
  return new Promise((resolve) =>
    document.addEventListener("prerenderingchange", () => resolve(), { once: true }),
  );
}

// A page that comes back from the browser's memory may have been overtaken meanwhile.
addEventListener("pageshow", ({ persisted }) => {
  if (persisted) location.reload();
});

const root = document.getElementById("app") ?? document.body.appendChild(element("div"));
root.id = "app";
void shown().then(() => main(root));
