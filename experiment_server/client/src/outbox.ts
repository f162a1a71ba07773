/** Answers on their way: kept until the server has acknowledged them, in order. */

import { ask, insist, Refusal } from "./api";
import { setWaiting } from "./notices";
import type { Store } from "./store";
import type { Answer, AnswerReply } from "./types";

interface Waiting {
  answer: Answer;
  acknowledged: (reply: AnswerReply) => void;
  refused: (refusal: unknown) => void;
}

export class Outbox {
  readonly #queue: Waiting[] = [];
  #isSending = false;

  constructor(
    private readonly store: Store,
    private readonly token: () => string,
    private readonly sessionKey: string,
  ) {
    addEventListener("pagehide", () => this.#hurry());
  }

  get sequences(): number[] {
    return this.#queue.map(({ answer }) => answer.sequence);
  }

  /**
   * Keep an answer and send it when all before it are acknowledged.
   *
   * Resolves with the reply; rejects with what the server refuses it for.
   */
  add(answer: Answer): Promise<AnswerReply> {
    void this.store.keepAnswer({ answer, token: this.token(), key: this.sessionKey });
    const reply = new Promise<AnswerReply>((acknowledged, refused) => {
      this.#queue.push({ answer, acknowledged, refused });
    });
    setWaiting(this.#queue.length);
    void this.#send();
    return reply;
  }

  /** Resolve when nothing is on its way. */
  async empty(): Promise<void> {
    while (this.#queue.length) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Send no more; what is kept is left to whoever opens the study next. */
  close(): void {
    this.#isSending = true;
    this.#queue.length = 0;
    setWaiting(0);
  }

  async #send(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    let first: Waiting | undefined;
    while ((first = this.#queue[0])) {
      const { answer } = first;
      try {
        const reply = await insist<AnswerReply>("session/answers", () => ({
          token: this.token(),
          body: answer,
        }));
        this.#done(answer);
        first.acknowledged(reply);
      } catch (error) {
        const isElsewhere = error instanceof Refusal && error.code === "taken-over";
        if (!isElsewhere) this.#done(answer);
        first.refused(error);
        // The newer page sends what is kept.
        if (isElsewhere) return;
      }
      // Whoever waits for the reply acts on it before the next one comes.
      await Promise.resolve();
    }
    this.#isSending = false;
  }

  #done(answer: Answer): void {
    this.#queue.shift();
    setWaiting(this.#queue.length);
    void this.store.forgetAnswer(answer);
  }

  /** A page that is left tries once more; the rest is sent when it is opened again. */
  #hurry(): void {
    for (const { answer } of this.#queue) {
      const request = { token: this.token(), body: answer, keepalive: true };
      ask("session/answers", request).catch(() => undefined);
    }
  }
}

/**
 * Send what an earlier page left behind.
 *
 * Answers that belong to a session that a newer visit has taken over stay, and so the
 * visit that comes next sends them with its own token.
 */
export async function sendLeftovers(
  store: Store,
  newToken: { key: string; token: string } | null = null,
): Promise<void> {
  for (const { answer, token, key } of store.answers()) {
    const ours = newToken?.key === key ? newToken.token : token;
    try {
      await insist("session/answers", { token: ours, body: answer });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const isOlder = error.code === "taken-over" && key === store.session()?.key;
      if (isOlder && !newToken) continue;
    }
    await store.forgetAnswer(answer);
  }
}
