/** The timeline of a session: whatever screen the server says comes next. */

import { initJsPsych } from "jspsych";

import { Refusal } from "./api";
import { Atlases, Gone } from "./atlases";
import { enterFullscreen, type Frame, type OwnScreen } from "./frame";
import { say } from "./messages";
import { Pace } from "./pace";
import { page, setTitle } from "./pages";
import { StudyScreenPlugin } from "./screen_plugin";
import { introducePractice, SCREENS } from "./screens";
import type { Session } from "./session";
import { type Response, TwoGroupsChoicePlugin } from "./trial_plugin";
import type { Screen, State, Trial } from "./types";
import { forever } from "./waiting";
import { isFullscreen, type Watch } from "./watch";

/** The screen stays empty this long between two trials, if the study doesn't say. */
const BLANK_MS = 150;
const MAX_GONE = 3;
/** Screens on which the time that is left is told. */
const IN_BLOCK: ReadonlySet<Screen> = new Set(["trial", "break"]);
/** Where nothing more is looked at, the whole screen is not asked for. */
const NEEDS_NO_SCREEN: ReadonlySet<Screen> = new Set([
  "consent",
  "feedback",
  "debrief",
  "end",
  "declined",
  "practice_failed",
  "comprehension_failed",
  "withdrawn",
  "timed_out",
]);

export async function runSession(
  session: Session,
  frame: Frame,
  watch: Watch,
  pace: Pace,
): Promise<void> {
  const atlases = new Atlases(() => watch.record("image_retry"));
  const jsPsych = initJsPsych({ display_element: frame.stage });
  let introduced = false;
  let offeredFullscreen = false;
  let nGone = 0;
  /** Trial on screen; the session may know of a later one by then. */
  let current: Trial | null = null;

  const nextTrial = (): Trial | null =>
    session.state.screen === "trial" ? (session.state.trial ?? null) : null;
  const isFirst = (): boolean => nextTrial()?.sequence === 0 && !introduced;
  const offersFullscreen = (): boolean =>
    session.state.settings.fullscreen === "ask" &&
    !NEEDS_NO_SCREEN.has(session.state.screen) &&
    document.fullscreenEnabled &&
    !isFullscreen() &&
    !offeredFullscreen;
  const minutesLeft = ({ screen, practice, trials_left }: State): number | null =>
    IN_BLOCK.has(screen) && !practice && trials_left ? pace.minutes(trials_left) : null;
  const tell = (screen: Screen | OwnScreen): void => {
    const { state } = session;
    const minWindow = state.settings.min_window;
    frame.show(screen, { state, minWindow, minutesLeft: minutesLeft(state) });
  };

  const screen = {
    type: StudyScreenPlugin,
    show: guarded(frame, async (host: HTMLElement) => {
      const { state } = session;
      if (offersFullscreen()) {
        offeredFullscreen = true;
        tell("fullscreen");
        await askForFullscreen(host);
        return;
      }
      prepare(state, atlases);
      pace.paused();
      if (isFirst()) {
        introduced = true;
        tell("practice");
        await introducePractice(host, state);
        return;
      }
      tell(state.screen);
      const show = SCREENS[state.screen as Exclude<Screen, "trial">];
      await show(host, session, atlases, minutesLeft(state));
    }),
  };

  const task = {
    type: TwoGroupsChoicePlugin,
    image: () => current?.image,
    place: () => current,
    load_image: guarded(frame, async (url: string) => {
      const { practice } = session.state;
      tell("trial");
      setTitle(practice ? say("trial.practice") : say("trial.title"));
      return atlases.get(url).catch(async (error: unknown) => {
        nGone += 1;
        if (error instanceof Gone && nGone < MAX_GONE) await session.refresh();
        throw error;
      });
    }),
    confidence_levels: () => session.state.settings.confidence_levels,
    keys: () => session.state.settings.keys ?? true,
    wording: () => session.state.settings.wording ?? {},
    lock: () => session.state.settings.lock_ms,
    feedback_delay: () => session.state.settings.feedback_delay_ms,
    feedback_duration: () => session.state.settings.feedback_ms,
    is_covered: () => frame.isCovered(),
    on_shown: (root: HTMLElement) => {
      const { sequence } = current!;
      root.dataset["sequence"] = String(sequence);
      watch.open(sequence);
      if (!current!.practice) pace.shown();
      // Not before: decoding would compete with the trial that is being painted.
      prepare(session.state, atlases);
    },
    submit: guarded(frame, (response: Response) =>
      session.answer(current!, response, watch.close()),
    ),
    post_trial_gap: () => session.state.settings.blank_ms ?? BLANK_MS,
  };

  const isScreenNext = (): boolean =>
    !nextTrial() || isFirst() || offersFullscreen();
  await jsPsych.run([
    {
      timeline: [
        { timeline: [screen], conditional_function: isScreenNext },
        {
          timeline: [task],
          conditional_function: () => {
            current = isScreenNext() ? null : nextTrial();
            return current !== null;
          },
        },
      ],
      loop_function: () => true,
    },
  ]);
}

/** Fetch what is shown and what comes next. */
function prepare(state: State, atlases: Atlases): void {
  const { trial, upcoming, ahead, instructions } = state;
  const open = (trial ?? instructions?.example)?.image;
  const next = (upcoming ?? []).map(({ image }) => image);
  const urls = [open, ...next, ...(ahead ?? [])].filter((url) => url !== undefined);
  atlases.ahead([...new Set(urls)]);
}

async function askForFullscreen(host: HTMLElement): Promise<void> {
  const action = await page(host, {
    title: say("fullscreen.title"),
    text: say("fullscreen.text"),
    actions: [
      { name: "fill", text: say("button.fullscreen") },
      { name: "continue", text: say("button.stay_in_window"), primary: false },
    ],
  });
  if (action === "fill") await enterFullscreen();
}

/** Show a page instead of stopping in the middle when something fails. */
function guarded<Argument, Result>(
  frame: Frame,
  action: (argument: Argument) => Promise<Result>,
): (argument: Argument) => Promise<Result> {
  return (argument) =>
    action(argument).catch(async (error: unknown) => {
      await showProblem(frame, error);
      return forever();
    });
}

/** Say that the page can't go on, and offer to load it again. */
export async function showProblem(frame: Frame, error: unknown): Promise<void> {
  console.error(error);
  const code = error instanceof Refusal ? error.code : "page-failed";
  const { contact } = frame;
  const help = contact
    ? say("problem.contact", { code, contact })
    : say("problem.code", { code });
  await page(frame.close("problem"), {
    title: say("problem.title"),
    text: `${say("problem.text")}\n\n${help}`,
    actions: [{ name: "reload", text: say("button.reload") }],
  });
  location.reload();
}

/** Say that the session goes on elsewhere, and offer to take it back. */
export async function showTakenOver(frame: Frame): Promise<void> {
  await page(frame.close("taken_over"), {
    title: say("taken_over.title"),
    text: say("taken_over.text"),
    actions: [{ name: "take-over", text: say("button.take_over") }],
  });
  location.reload();
}
