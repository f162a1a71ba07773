/** How long the rest of a session takes at the participant's own pace. */

/** Longer than this between two trials is a pause, not a pace. */
const PAUSE_MS = 60_000;
const N_REMEMBERED = 20;
const N_ENOUGH = 3;

export class Pace {
  readonly #durations: number[] = [];
  #shownAt: number | null = null;

  constructor(private readonly expected_ms: number) {}

  /** A trial is shown. */
  shown(): void {
    const now = performance.now();
    const duration = this.#shownAt === null ? null : now - this.#shownAt;
    if (duration !== null && duration < PAUSE_MS) this.#durations.push(duration);
    if (this.#durations.length > N_REMEMBERED) this.#durations.shift();
    this.#shownAt = now;
  }

  /** What follows is not a trial. */
  paused(): void {
    this.#shownAt = null;
  }

  /** Return the minutes that so many trials take, rounded up. */
  minutes(n_trials: number): number {
    const { length } = this.#durations;
    const mean = this.#durations.reduce((sum, one) => sum + one, 0) / length;
    const each_ms = length < N_ENOUGH ? this.expected_ms : mean;
    return Math.ceil((each_ms * n_trials) / 60_000);
  }
}
