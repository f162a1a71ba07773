/** The time since the first page of the instructions, in ms. */

export class SessionClock {
  #before = 0;
  #startedAt: number | null = null;

  /** Go on from a time that was reached before this page was loaded. */
  goOnFrom(elapsed_ms: number): void {
    if (elapsed_ms > this.elapsed()) {
      this.#before = elapsed_ms;
      if (this.#startedAt !== null) this.#startedAt = performance.now();
    }
  }

  start(): void {
    this.#startedAt ??= performance.now();
  }

  elapsed(): number {
    const running = this.#startedAt === null ? 0 : performance.now() - this.#startedAt;
    return Math.round((this.#before + running) * 10) / 10;
  }
}
