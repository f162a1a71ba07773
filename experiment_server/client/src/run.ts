/** The timeline of a session: whatever screen the server says comes next. */

import { initJsPsych } from "jspsych";

import { Refusal } from "./api";
import { Atlases, Gone } from "./atlases";
import type { Frame } from "./frame";
import { element } from "./dom";
import { say } from "./messages";
import { page } from "./pages";
import { StudyScreenPlugin } from "./screen_plugin";
import { forever, introducePractice, SCREENS } from "./screens";
import type { Session } from "./session";
import { type Response, TwoGroupsChoicePlugin } from "./trial_plugin";
import type { State, Trial } from "./types";
import type { Watch } from "./watch";

/** The screen stays empty this long between two trials. */
const BLANK_MS = 150;
const MAX_GONE = 3;

export async function runSession(
  session: Session,
  frame: Frame,
  watch: Watch,
): Promise<void> {
  const atlases = new Atlases();
  const jsPsych = initJsPsych({ display_element: frame.stage });
  let introduced = false;
  let nGone = 0;

  const trial = (): Trial | null =>
    session.state.screen === "trial" ? (session.state.trial ?? null) : null;
  const atFirst = (): boolean => trial()?.sequence === 0 && !introduced;

  const screen = {
    type: StudyScreenPlugin,
    show: guarded(frame, async (host: HTMLElement) => {
      const { state } = session;
      if (atFirst()) {
        introduced = true;
        prepare(state, atlases);
        frame.show("trial", state.settings.min_window, { ...state, practice: null });
        frame.stage.closest<HTMLElement>("[data-screen]")!.dataset["screen"] = "practice";
        await introducePractice(host, state);
        return;
      }
      frame.show(state.screen, state.settings.min_window, state);
      prepare(state, atlases);
      await SCREENS[state.screen as Exclude<State["screen"], "trial">](
        host,
        session,
        atlases,
      );
    }),
  };

  const task = {
    type: TwoGroupsChoicePlugin,
    image: () => trial()?.image,
    place: () => trial(),
    load_image: guarded(frame, async (url: string) => {
      frame.show("trial", session.state.settings.min_window, session.state);
      const atlas = await atlases.get(url).catch(async (error: unknown) => {
        nGone += 1;
        if (!(error instanceof Gone) || nGone >= MAX_GONE) throw error;
        await session.refresh();
        throw error;
      });
      prepare(session.state, atlases);
      return atlas;
    }),
    confidence_levels: () => session.state.settings.confidence_levels,
    keys: () => session.state.settings.keys ?? true,
    wording: () => session.state.settings.wording ?? {},
    lock: () => session.state.settings.lock_ms,
    feedback_delay: () => session.state.settings.feedback_delay_ms,
    feedback_duration: () => session.state.settings.feedback_ms,
    is_covered: () => frame.isCovered(),
    on_shown: (root: HTMLElement) => {
      const sequence = trial()!.sequence;
      root.dataset["sequence"] = String(sequence);
      session.shown(sequence);
      watch.inTrial = true;
    },
    submit: guarded(frame, async (response: Response) => {
      watch.inTrial = false;
      return session.answer(trial()!.sequence, response);
    }),
    post_trial_gap: BLANK_MS,
  };

  await jsPsych.run([
    {
      timeline: [
        { timeline: [screen], conditional_function: () => !trial() || atFirst() },
        { timeline: [task], conditional_function: () => trial() !== null && !atFirst() },
      ],
      loop_function: () => true,
    },
  ]);
}

/** Fetch what is shown and what comes next. */
function prepare(state: State, atlases: Atlases): void {
  const image = (state.trial ?? state.instructions?.example)?.image;
  atlases.ahead([...(image ? [image] : []), ...(state.upcoming ?? [])]);
}

/** Show a page instead of stopping in the middle when something fails. */
function guarded<Argument, Result>(
  frame: Frame,
  action: (argument: Argument) => Promise<Result>,
): (argument: Argument) => Promise<Result> {
  return (argument) =>
    action(argument).catch(async (error: unknown) => {
      console.error(error);
      await showProblem(frame, error);
      return forever();
    });
}

/** Say that the page can't go on, and offer to load it again. */
export async function showProblem(frame: Frame, error: unknown): Promise<void> {
  const code = error instanceof Refusal ? error.code : "page-failed";
  const host = element("div");
  frame.stage.replaceChildren(host);
  frame.stage.closest<HTMLElement>("[data-screen]")!.dataset["screen"] = "problem";
  await page(host, {
    title: say("problem.title"),
    text: `${say("problem.text")}\n\n${say("problem.code", { code })}`,
    actions: [{ name: "reload", text: say("button.reload") }],
  });
  location.reload();
}
