/** One session: where it stands, and every message that moves it on. */

import { ask, insist, Refusal } from "./api";
import { SessionClock } from "./clock";
import type { Entry } from "./entry";
import type { Viewing } from "./instructions";
import type { Store } from "./store";
import type { Response } from "./trial_plugin";
import type { Answer, AnswerReply, State } from "./types";
import { windowSize } from "./watch";

export class Session {
  readonly clock = new SessionClock();
  #state: State;
  /** Trial that an earlier load of the page had already shown. */
  readonly #seenBefore: number | null;

  private constructor(
    readonly token: string,
    state: State,
    private readonly store: Store,
  ) {
    const kept = store.read();
    this.#seenBefore = kept?.seen ?? null;
    this.clock.goOnFrom(kept?.elapsed_ms ?? 0);
    this.#state = state;
    this.#moveTo(state);
    addEventListener("pagehide", () => this.#keepTime());
  }

  /** Start a session, or go on with the participant's own. */
  static async start(entry: Entry, store: Store): Promise<Session> {
    const body = { ...entry, recruiter: "link", window: windowSize() };
    const { token, state } = await insist<{ token: string; state: State }>("sessions", {
      body,
    });
    store.write({ ...entry, token, seen: null, outbox: null, elapsed_ms: 0 });
    return new Session(token, state, store);
  }

  /** Go on with the session that this browser knows; null if there is none. */
  static async resume(entry: Entry, store: Store): Promise<Session | null> {
    const kept = store.read();
    if (!kept || !isSame(entry, kept)) return null;
    const { token, outbox } = kept;
    try {
      if (outbox) {
        await insist("session/answers", { token, body: outbox }).catch(ignoreRefusal);
        store.update(token, { outbox: null });
      }
      return new Session(token, await insist<State>("session", { token }), store);
    } catch (error) {
      if (!(error instanceof Refusal) || ![401, 403, 404].includes(error.status)) {
        throw error;
      }
      store.write(null);
      return null;
    }
  }

  get state(): State {
    return this.#state;
  }

  consent(agreed: boolean): Promise<void> {
    const consent_version = this.#state.consent?.version ?? "";
    return this.#post("consent", { agreed, consent_version });
  }

  instructed(pages: readonly Viewing[]): Promise<void> {
    return this.#post("instructions", { ...this.#time(), pages });
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

  withdraw(delete_answers: boolean): Promise<void> {
    return this.#post("withdraw", { delete_answers });
  }

  /** Ask where the session stands. */
  async refresh(): Promise<void> {
    this.#moveTo(await insist<State>("session", { token: this.token }));
  }

  shown(sequence: number): void {
    this.store.update(this.token, { seen: sequence });
  }

  /** Keep an answer until the server has stored it; resolves with the feedback. */
  async answer(
    sequence: number,
    response: Response,
  ): Promise<{ correct: boolean } | null> {
    const { rt, onset, ...rest } = response;
    const body: Answer = {
      ...rest,
      sequence,
      idempotency_key: uuid(),
      rt_ms: rt,
      onset,
      interrupted: sequence === this.#seenBefore,
      ...this.#time(),
    };
    this.store.update(this.token, { outbox: body });
    try {
      const reply = await insist<AnswerReply>("session/answers", {
        token: this.token,
        body,
      });
      this.#moveTo(reply.state);
      return reply.feedback;
    } catch (error) {
      await this.#recover(error);
      return null;
    } finally {
      this.store.update(this.token, { outbox: null });
    }
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
    if (error.state) this.#moveTo(error.state);
    else this.#moveTo(await ask<State>("session", { token: this.token }));
  }

  #moveTo(state: State): void {
    this.#state = state;
    this.clock.goOnFrom(state.elapsed_ms);
    if (state.screen !== "consent" && state.screen !== "declined") this.clock.start();
    this.#keepTime();
  }

  #time(): { time_elapsed_ms: number } {
    return { time_elapsed_ms: this.clock.elapsed() };
  }

  #keepTime(): void {
    this.store.update(this.token, { elapsed_ms: this.clock.elapsed() });
  }
}

/** Whether the link is of the session that is kept; a bare link names nobody. */
function isSame(entry: Entry, kept: Entry): boolean {
  const isNamed = entry.participant !== null;
  return (
    (!isNamed || entry.participant === kept.participant) &&
    entry.test_run === kept.test_run &&
    entry.observer === kept.observer
  );
}

function ignoreRefusal(error: unknown): void {
  if (!(error instanceof Refusal)) throw error;
}

/** A random UUID; the browser's own function is missing on plain HTTP. */
function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
