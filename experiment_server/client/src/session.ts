/** One session: where it stands, and every message that moves it on. */

import { insist, Refusal } from "./api";
import { SessionClock } from "./clock";
import { type Entry, isSame } from "./entry";
import type { Viewing } from "./instructions";
import { Outbox, sendLeftovers } from "./outbox";
import type { Store } from "./store";
import type { Response } from "./trial_plugin";
import type { Answer, State, Trial } from "./types";
import { forever } from "./waiting";
import { type Losses, scaleNow, windowSize } from "./watch";

interface Visit {
  token: string;
  state: State;
}

/** Why somebody does not take part. */
export type DeclineReason = "declined" | "colour_vision" | "device";

export class Session {
  readonly clock = new SessionClock();
  readonly #outbox: Outbox;
  #state: State;
  #isOver = false;
  readonly #onMove: (() => void)[] = [];
  /** Called once when another page goes on with this session. */
  onTakenOver: () => void = () => undefined;
  /** Called when an answer can't be stored for a reason that no repetition mends. */
  onFailure: (error: unknown) => void = () => undefined;

  private constructor(
    readonly token: string,
    state: State,
    private readonly store: Store,
  ) {
    const kept = store.session();
    this.#outbox = new Outbox(store, () => token, kept?.key ?? token);
    this.clock.goOnFrom(kept?.elapsed_ms ?? 0);
    this.#state = state;
    this.#moveTo(state);
    addEventListener("pagehide", () => this.#keepTime());
  }

  /** Start a session, or go on with the participant's own. */
  static async start(entry: Entry, store: Store): Promise<Session> {
    const begun = store.joining();
    // The same key again, so that a start whose reply was lost starts nothing else.
    const join_key =
      begun && begun.participant === entry.participant ? begun.join_key : uuid();
    await store.keepJoining({ join_key, participant: entry.participant });
    const body = { ...entry, recruiter: "link", window: windowSize(), join_key };
    try {
      const { token, state } = await insist<Visit>("sessions", { body });
      await store.keepSession({
        ...entry,
        token,
        key: join_key,
        elapsed_ms: 0,
        scale: scaleNow(),
        next_event: 0,
        events: [],
      });
      return new Session(token, state, store);
    } finally {
      await store.forgetJoining();
    }
  }

  /** Go on with the session that this browser knows; null if there is none. */
  static async resume(entry: Entry, store: Store): Promise<Session | null> {
    await sendLeftovers(store);
    const kept = store.session();
    if (!kept || !isSame(entry, kept)) return null;
    try {
      // One key for all repeats, so that a doubled request is one visit.
      const body = { window: windowSize(), resume_key: uuid() };
      const visit = await insist<Visit>("session/resume", { token: kept.token, body });
      const { token } = visit;
      await store.update({ token });
      let { state } = visit;
      if (store.answers().length) {
        await sendLeftovers(store, { key: kept.key, token });
        state = await insist<State>("session", { token });
      }
      return new Session(token, state, store);
    } catch (error) {
      if (!(error instanceof Refusal) || ![401, 403, 404].includes(error.status)) {
        throw error;
      }
      await store.forgetSession();
      return null;
    }
  }

  /** Where the session stands, answers that are on their way taken as stored. */
  get state(): State {
    const { trial, upcoming, progress, trials_left } = this.#state;
    const onTheirWay = this.#outbox.sequences;
    if (!trial || !onTheirWay.includes(trial.sequence)) return this.#state;
    const left = (upcoming ?? []).filter(
      ({ sequence }) => !onTheirWay.includes(sequence),
    );
    const next = left.shift();
    if (!next) return this.#state;
    const n_left = trials_left ?? null;
    const share = n_left ? onTheirWay.length / n_left : 0;
    return {
      ...this.#state,
      trial: next,
      upcoming: left,
      trials_left: n_left === null ? null : n_left - onTheirWay.length,
      progress: progress + share * (1 - progress),
    };
  }

  consent(agreed: boolean, reason: DeclineReason | null = null): Promise<void> {
    const consent_version = this.#state.consent?.version ?? "";
    const given = reason ? { reason } : {};
    return this.#post("consent", { agreed, consent_version, ...given });
  }

  instructed(pages: readonly Viewing[]): Promise<void> {
    return this.#post("instructions", { ...this.#time(), pages });
  }

  comprehended(answers: readonly number[]): Promise<void> {
    return this.#post("comprehension", { answers, ...this.#time() });
  }

  leave(): Promise<void> {
    return this.#post("continue", { screen: this.#state.screen, ...this.#time() });
  }

  comment(text: string): Promise<void> {
    return this.#post("feedback", { text });
  }

  finish(): Promise<void> {
    return this.#post("finish", this.#time());
  }

  async withdraw(delete_answers: boolean): Promise<void> {
    // What is kept is kept whole.
    if (!delete_answers) await this.#outbox.empty();
    await this.#post("withdraw", { delete_answers });
  }

  /** Ask where the session stands. */
  async refresh(): Promise<void> {
    try {
      this.#moveTo(await insist<State>("session", { token: this.token }));
    } catch (error) {
      await this.#recover(error);
    }
  }

  /** Give way to another page. */
  async yield(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#outbox.close();
    this.store.close();
    this.onTakenOver();
  }

  /**
   * Keep an answer until the server has stored it.
   *
   * Resolves with the feedback where there is some. Where the next trial is known it
   * resolves at once, and else when the server has told what comes next.
   */
  async answer(
    trial: Trial,
    response: Response,
    losses: Losses,
  ): Promise<{ correct: boolean } | null> {
    const { rt, ...rest } = response;
    const body: Answer = {
      ...rest,
      ...losses,
      sequence: trial.sequence,
      idempotency_key: uuid(),
      rt_ms: rt,
      interrupted: false,
      ...this.#time(),
    };
    this.#keepTime();
    const stored = this.#outbox.add(body).then(
      ({ state, feedback }) => {
        this.#moveTo(state);
        return feedback;
      },
      async (error: unknown) => {
        await this.#recover(error).catch((fatal: unknown) => {
          this.onFailure(fatal);
          return forever();
        });
        return null;
      },
    );
    if (trial.feedback) return stored;
    let isStored = false;
    void stored.then(() => (isStored = true));
    while (!isStored && (this.state.trial?.sequence ?? -1) <= trial.sequence) {
      await Promise.race([stored, this.#nextMove()]);
    }
    return null;
  }

  async #post(name: string, body: object): Promise<void> {
    try {
      this.#moveTo(await insist<State>(`session/${name}`, { token: this.token, body }));
    } catch (error) {
      await this.#recover(error);
    }
  }

  /** After a refusal the server's word on where the session stands holds. */
  async #recover(error: unknown): Promise<void> {
    if (!(error instanceof Refusal) || error.status === 400) throw error;
    if (error.code === "taken-over") {
      await this.yield();
      return forever();
    }
    if (error.state) this.#moveTo(error.state);
    else if (error.status === 409) await this.refresh();
    else throw error;
  }

  #nextMove(): Promise<void> {
    return new Promise((resolve) => this.#onMove.push(resolve));
  }

  #moveTo(state: State): void {
    this.#state = state;
    for (const react of this.#onMove.splice(0)) react();
    this.clock.goOnFrom(state.elapsed_ms);
    if (state.screen !== "consent" && state.screen !== "declined") this.clock.start();
    this.#keepTime();
  }

  #time(): { time_elapsed_ms: number } {
    return { time_elapsed_ms: this.clock.elapsed() };
  }

  #keepTime(): void {
    void this.store.update({ elapsed_ms: this.clock.elapsed() });
  }
}

/** A random UUID; the browser's own function is missing on plain HTTP. */
function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
