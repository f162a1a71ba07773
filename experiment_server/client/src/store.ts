/** What survives a reload: kept by the browser, or in memory where it refuses. */

import type { Answer } from "./types";

export interface Kept {
  token: string;
  /** Who the session belongs to, as the link named them. */
  participant: string | null;
  test_run: boolean;
  observer: string | null;
  /** Last trial that was shown. */
  seen: number | null;
  /** Answer that the server has not acknowledged. */
  outbox: Answer | null;
  elapsed_ms: number;
}

export class Store {
  readonly #key: string;
  #memory: Kept | null = null;

  constructor(studyId: string) {
    this.#key = `unitscope.${studyId}`;
  }

  read(): Kept | null {
    try {
      const text = localStorage.getItem(this.#key);
      if (text !== null) this.#memory = JSON.parse(text) as Kept;
    } catch {
      // Storage is denied or broken: memory serves until the page is closed.
    }
    return this.#memory;
  }

  write(kept: Kept | null): void {
    this.#memory = kept;
    try {
      if (kept === null) localStorage.removeItem(this.#key);
      else localStorage.setItem(this.#key, JSON.stringify(kept));
    } catch {
      // As above.
    }
  }

  /** Change some of what is kept of a session; another tab may have its own. */
  update(token: string, change: Partial<Kept>): void {
    const kept = this.read();
    if (kept?.token === token) this.write({ ...kept, ...change });
  }
}
