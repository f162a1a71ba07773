/** What the server and the page say to each other; the server's OpenAPI file is the reference. */

import type { Display } from "./display";

export type Row = "upper" | "lower";
export type Point = [x: number, y: number];

export interface StudyInfo {
  study_id: string;
  title: string;
  language: string;
  min_window: [number, number];
  /** Whether keys give answers, too. */
  keys?: boolean;
  test_run_allowed: boolean;
  n_trials: number;
  expected_minutes?: number | null;
  /** Whom participants can ask. */
  contact: string;
  /** What stopping means for the answers and for the pay. */
  withdrawal?: string | null;
}

/** One task as this participant is to see it. Positions are atlas pixels. */
export interface Trial {
  sequence: number;
  practice: boolean;
  image: string;
  image_size: [number, number];
  cell: number;
  left: Point[];
  right: Point[];
  upper: Point;
  lower: Point;
  instruction: { choose: Row } | null;
  feedback: boolean;
}

export type Highlight =
  | "none"
  | "left"
  | "right"
  | "queries"
  | "question"
  | "upper_buttons"
  | "lower_buttons"
  | "confidence"
  | "frame"
  | "verdict";

export interface InstructionPage {
  text: string;
  highlight: Highlight;
}

export interface Settings {
  confidence_levels: number;
  lock_ms: number;
  feedback_delay_ms: number;
  feedback_ms: number;
  min_window: [number, number];
  blank_ms?: number;
  /** Whether keys give answers in a trial, and stand on its buttons. */
  keys?: boolean;
  /** The study's own words in trials, by the names of the page's messages. */
  wording?: Record<string, string> | null;
  /** Whether the page offers to fill the screen. */
  fullscreen?: "off" | "ask";
}

export interface Question {
  text: string;
  options: string[];
}

export type Screen =
  | "consent"
  | "instructions"
  | "comprehension"
  | "trial"
  | "practice_again"
  | "practice_passed"
  | "break"
  | "feedback"
  | "debrief"
  | "end"
  | "declined"
  | "practice_failed"
  | "comprehension_failed"
  | "withdrawn"
  | "timed_out";

/** Where a session stands; each screen has its own part. */
export interface State {
  screen: Screen;
  progress: number;
  elapsed_ms: number;
  settings: Settings;
  contact: string;
  consent?: { text: string; version: string } | null;
  instructions?: {
    pages: InstructionPage[];
    example: Trial;
    /** Whether they are shown again since the questions about them went wrong. */
    repeated?: boolean;
  } | null;
  comprehension?: { questions: Question[]; attempts_left: number } | null;
  debrief?: { text: string } | null;
  trial?: Trial | null;
  /** Trials that follow the open one, or this screen, with no screen between. */
  upcoming?: Trial[] | null;
  /** Images that may be loaded ahead. */
  ahead?: string[] | null;
  trials_left?: number | null;
  practice?: { round: number; n_rounds_max: number; n_trials: number } | null;
  score?: { n_correct: number; n_answered: number } | null;
  completion_code?: string | null;
}

export type Input = "mouse" | "keyboard" | "touch" | "api";

/** When the pictures appeared. Times in ms; null where the browser can't tell. */
export interface Onset {
  /** "next_frame": the time stamp of the frame after the one that was painted with
   * the pictures; "next_frame+element_timing": the same, and the browser reported when
   * it presented them; "none": nothing was shown. */
  method: string;
  /** From the onset that times are counted from to the best report of the
   * presentation; negative where the pictures came earlier. */
  lag_ms: number | null;
  /** The same by Element Timing, which only some browsers have. */
  element_ms: number | null;
  /** From the frame in which the pictures were revealed to the onset. */
  frame_ms: number | null;
  /** How long decoding the pictures took; they are decoded before they are needed. */
  decode_ms: number | null;
}

export interface Answer {
  sequence: number;
  idempotency_key: string;
  chosen: Row;
  confidence: number;
  rt_ms: number;
  time_elapsed_ms: number;
  input: Input;
  interrupted: boolean;
  onset: Onset | null;
  shown_at: string | null;
  display?: Display | null;
  /** How often the window lost focus, and was hidden, during the trial. */
  n_focus_losses?: number;
  n_hidden?: number;
}

export interface AnswerReply {
  stored: boolean;
  feedback: { correct: boolean } | null;
  state: State;
}

export interface WindowSize {
  width: number;
  height: number;
  device_pixel_ratio: number;
}

export type EventName =
  | "blur"
  | "focus"
  | "fullscreenenter"
  | "fullscreenexit"
  | "hidden"
  | "visible"
  | "resize"
  | "zoom"
  | "offline"
  | "online"
  | "image_retry"
  | "storage_denied"
  | "taken_over"
  | "pagehide"
  | DialogEvent;

/** The help on keys, or the question whether to stop, lay over the screen. */
export type DialogEvent = "keys_opened" | "keys_closed" | "stop_opened" | "stop_closed";

/** One thing that happened to the page, in the form of jsPsych's interaction data. */
export interface SessionEvent {
  number: number;
  event: EventName;
  /** Index of the trial on screen. */
  trial: number | null;
  /** On the session's clock. */
  time_ms: number;
  value: number | null;
}
