/** What the server and the page say to each other; the server's OpenAPI file is the reference. */

export type Row = "upper" | "lower";
export type Point = [x: number, y: number];

export interface StudyInfo {
  study_id: string;
  title: string;
  language: string;
  min_window: [number, number];
  test_run_allowed: boolean;
  n_trials: number;
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
  | "frame";

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
}

export type Screen =
  | "consent"
  | "instructions"
  | "trial"
  | "practice_again"
  | "practice_passed"
  | "break"
  | "feedback"
  | "debrief"
  | "end"
  | "declined"
  | "practice_failed"
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
  instructions?: { pages: InstructionPage[]; example: Trial } | null;
  debrief?: { text: string } | null;
  trial?: Trial | null;
  upcoming?: string[] | null;
  practice?: { round: number; n_rounds_max: number; n_trials: number } | null;
  score?: { n_correct: number; n_answered: number } | null;
  completion_code?: string | null;
}

export type Input = "mouse" | "keyboard" | "touch" | "api";

/** When the pictures appeared. Times in ms; null where the browser can't tell. */
export interface Onset {
  method: string;
  /** Distance between the onset that times are counted from and the browser's own
   * report of the paint. */
  lag_ms: number | null;
  frame_ms: number | null;
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
