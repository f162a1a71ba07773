/** The participant's page: finds the session, or offers to start one, and runs it. */

import "./pages.css";

import { insist, Refusal } from "./api";
import { element } from "./dom";
import { type Entry, readEntry } from "./entry";
import { Frame } from "./frame";
import { learnLayout } from "./keys";
import { say, useLanguage } from "./messages";
import { page } from "./pages";
import { runSession, showProblem } from "./run";
import { forever } from "./screens";
import { Session } from "./session";
import { Store } from "./store";
import type { StudyInfo } from "./types";
import { Watch } from "./watch";

/** Offer to start; resolves with the session when the participant does. */
async function start(
  entry: Entry,
  study: StudyInfo,
  store: Store,
  frame: Frame,
): Promise<Session> {
  const host = element("div");
  frame.stage.replaceChildren(host);
  frame.show("start", study.min_window);
  const [width, height] = study.min_window;
  const remarks = [
    entry.test_run && say("start.test_run"),
    entry.observer && say("start.simulated"),
  ];
  const text = say("start.text", { n_trials: study.n_trials, width, height });
  await page(host, {
    title: study.title,
    text: [text, ...remarks.filter(Boolean)].join("\n\n"),
    actions: [{ name: "start", text: say("button.start") }],
  });
  try {
    return await Session.start(entry, store);
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== "study-full") throw error;
    void page(host, { title: say("study_full.title"), text: say("study_full.text") });
    return forever();
  }
}

async function main(root: HTMLElement): Promise<void> {
  let session: Session | null = null;
  const frame = new Frame(root, (dialog) => {
    void session
      ?.withdraw(dialog.returnValue === "delete")
      .then(() => location.reload());
  });
  try {
    const [study] = await Promise.all([insist<StudyInfo>("study"), learnLayout()]);
    useLanguage(study.language);
    document.title = study.title;
    const watch = new Watch();
    const store = new Store(study.study_id);
    const entry = readEntry(location.search);
    const known = await Session.resume(entry, store);
    session = known ?? (await start(entry, study, store, frame));
    frame.stage.replaceChildren();
    watch.follow(session.token, known ? 1 : 0);
    await runSession(session, frame, watch);
  } catch (error) {
    console.error(error);
    await showProblem(frame, error);
  }
}

const root = document.getElementById("app") ?? document.body.appendChild(element("div"));
root.id = "app";
void main(root);
