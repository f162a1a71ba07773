/** What survives a reload: kept by the browser, or by the page's own history entry. */

import { createStore, del, entries, set } from "idb-keyval";

import type { Answer, SessionEvent } from "./types";

/** A browser may leave a request to its database without an answer. */
const PATIENCE_MS = 2000;

export interface Kept {
  token: string;
  /** Name that this browser gave the session, for its other tabs. */
  key: string;
  /** Who the session belongs to, as the link named them. */
  participant: string | null;
  test_run: boolean;
  observer: string | null;
  elapsed_ms: number;
  /** Zoom and pixel ratio at the session's start. */
  scale: Scale;
  /** Running number of the next event. */
  next_event: number;
  /** Events that the server has not acknowledged. */
  events: SessionEvent[];
}

export interface Scale {
  device_pixel_ratio: number;
  /** Width of the browser's window by that of the page in it. */
  outer_by_inner: number;
}

/** Name of a start that the server has not acknowledged. */
export interface Joining {
  join_key: string;
  participant: string | null;
}

/** An answer with what it takes to send it, whoever takes part here by then. */
export interface KeptAnswer {
  answer: Answer;
  token: string;
  /** Of the session: Kept.key. */
  key: string;
}

export type Keeper = "indexeddb" | "localstorage" | "history";

/** A place for named values. */
interface Place {
  readonly keeper: Keeper;
  entries(): Promise<[string, unknown][]>;
  set(name: string, value: unknown): Promise<void>;
  delete(name: string): Promise<void>;
}

const SESSION = "session";
const JOINING = "joining";
const ANSWER = "answer.";

/**
 * All that one study keeps in this browser.
 *
 * Reads come from memory; writes go to memory and to the first place that takes them,
 * so that what the browser refuses to keep is lost only with the page.
 */
export class Store {
  readonly #values: Map<string, unknown>;
  #isClosed = false;

  private constructor(
    private readonly place: Place,
    values: [string, unknown][],
  ) {
    this.#values = new Map(values);
  }

  /** Open the first place that can be read and written. */
  static async open(studyId: string): Promise<Store> {
    const name = `unitscope.${studyId}`;
    for (const make of [indexedPlace, localPlace, historyPlace]) {
      try {
        const place = make(name);
        const values = await inTime(tried(place));
        return new Store(place, values);
      } catch {
        // Denied or broken: the next place serves.
      }
    }
    return new Store(historyPlace(name), []);
  }

  get keeper(): Keeper {
    return this.place.keeper;
  }

  /** Write no more: another page keeps what there is now. */
  close(): void {
    this.#isClosed = true;
  }

  session(): Kept | null {
    return (this.#values.get(SESSION) as Kept | undefined) ?? null;
  }

  keepSession(kept: Kept): Promise<void> {
    return this.#set(SESSION, kept);
  }

  /** Change some of what is kept of the session. */
  async update(change: Partial<Kept>): Promise<void> {
    const kept = this.session();
    if (kept) await this.keepSession({ ...kept, ...change });
  }

  joining(): Joining | null {
    return (this.#values.get(JOINING) as Joining | undefined) ?? null;
  }

  keepJoining(joining: Joining): Promise<void> {
    return this.#set(JOINING, joining);
  }

  forgetJoining(): Promise<void> {
    return this.#delete(JOINING);
  }

  /** Answers that the server has not acknowledged, in order. */
  answers(): KeptAnswer[] {
    return [...this.#values]
      .filter(([name]) => name.startsWith(ANSWER))
      .map(([, value]) => value as KeptAnswer)
      .sort((first, second) => first.answer.sequence - second.answer.sequence);
  }

  keepAnswer(kept: KeptAnswer): Promise<void> {
    return this.#set(ANSWER + kept.answer.idempotency_key, kept);
  }

  forgetAnswer(answer: Answer): Promise<void> {
    return this.#delete(ANSWER + answer.idempotency_key);
  }

  forgetSession(): Promise<void> {
    return this.#delete(SESSION);
  }

  async #set(name: string, value: unknown): Promise<void> {
    this.#values.set(name, value);
    if (this.#isClosed) return;
    // A place that is full now may have room later; memory has the value meanwhile.
    await inTime(this.place.set(name, value)).catch(() => undefined);
  }

  async #delete(name: string): Promise<void> {
    this.#values.delete(name);
    if (this.#isClosed) return;
    await inTime(this.place.delete(name)).catch(() => undefined);
  }
}

/** Write, read and return what a place holds; rejects where it can't. */
async function tried(place: Place): Promise<[string, unknown][]> {
  await place.set("probe", true);
  const values = await place.entries();
  await place.delete("probe");
  if (!values.some(([name]) => name === "probe")) throw new Error("storage-forgets");
  return values.filter(([name]) => name !== "probe");
}

function indexedPlace(name: string): Place {
  const store = createStore(name, "kept");
  return {
    keeper: "indexeddb",
    entries: () => entries<string, unknown>(store),
    set: (key, value) => set(key, value, store),
    delete: (key) => del(key, store),
  };
}

function localPlace(name: string): Place {
  const prefix = `${name}.`;
  const names = (): string[] =>
    Object.keys(localStorage).filter((key) => key.startsWith(prefix));
  return {
    keeper: "localstorage",
    entries: async () =>
      names().map((key) => [
        key.slice(prefix.length),
        JSON.parse(localStorage.getItem(key) ?? "null") as unknown,
      ]),
    set: async (key, value) =>
      localStorage.setItem(prefix + key, JSON.stringify(value)),
    delete: async (key) => localStorage.removeItem(prefix + key),
  };
}

/** The history entry of the page outlives a reload even where storage is denied. */
function historyPlace(name: string): Place {
  const read = (): Record<string, unknown> =>
    (history.state as Record<string, Record<string, unknown>> | null)?.[name] ?? {};
  const write = (values: Record<string, unknown>): void =>
    history.replaceState({ ...(history.state as object | null), [name]: values }, "");
  return {
    keeper: "history",
    entries: async () => Object.entries(read()),
    set: async (key, value) => write({ ...read(), [key]: value }),
    delete: async (key) => {
      const { [key]: _, ...rest } = read();
      write(rest);
    },
  };
}

function inTime<Value>(work: Promise<Value>): Promise<Value> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("storage-hangs")), PATIENCE_MS);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
