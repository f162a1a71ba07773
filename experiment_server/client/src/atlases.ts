/** Atlases, fetched and decoded before they are needed. */

import { setNotice } from "./notices";
import { backOff } from "./waiting";

const TIMEOUT_MS = 30_000;
const ATTEMPTS_AHEAD = 5;

export interface Atlas {
  /** Complete and decoded; its address is used again for each picture on it. */
  image: HTMLImageElement;
  decode_ms: number;
}

/** The server has no such image for this session now. */
export class Gone extends Error {}

export class Atlases {
  readonly #atlases = new Map<string, Promise<Atlas>>();

  /** `onRetry` hears of every request that failed and is repeated. */
  constructor(private readonly onRetry: () => void = () => undefined) {}

  /** Fetch what will be needed, and let go of all else. */
  ahead(urls: readonly string[]): void {
    for (const url of this.#atlases.keys()) {
      if (!urls.includes(url)) this.#release(url);
    }
    for (const url of urls) this.#begin(url, ATTEMPTS_AHEAD);
  }

  /** Return an atlas; repeats the request until the image is there. */
  async get(url: string): Promise<Atlas> {
    try {
      return await this.#begin(url, ATTEMPTS_AHEAD);
    } catch (error) {
      if (error instanceof Gone) throw error;
      return this.#begin(url, Infinity);
    }
  }

  #release(url: string): void {
    const atlas = this.#atlases.get(url);
    this.#atlases.delete(url);
    atlas?.then(({ image }) => URL.revokeObjectURL(image.src)).catch(() => undefined);
  }

  #begin(url: string, attempts: number): Promise<Atlas> {
    const begun = this.#atlases.get(url);
    if (begun) return begun;
    const atlas = load(url, attempts, this.onRetry);
    this.#atlases.set(url, atlas);
    // A failure is forgotten, so that the next request starts anew.
    atlas.catch(() => this.#atlases.delete(url));
    return atlas;
  }
}

async function load(
  url: string,
  attempts: number,
  onRetry: () => void,
): Promise<Atlas> {
  for (let failures = 0; ; failures += 1) {
    try {
      const atlas = await loadAtlas(url);
      setNotice("images", false);
      return atlas;
    } catch (error) {
      if (error instanceof Gone || failures + 1 >= attempts) throw error;
      onRetry();
      if (failures >= 1) setNotice("images", true);
      await backOff(failures);
    }
  }
}

/** Fetch and decode an atlas, once. */
export async function loadAtlas(url: string): Promise<Atlas> {
  const reply = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (reply.status === 404 || reply.status === 410) throw new Gone(url);
  if (!reply.ok) throw new TypeError(`image: ${reply.status}`);
  return decode(await reply.blob());
}

async function decode(blob: Blob): Promise<Atlas> {
  const image = new Image();
  image.src = URL.createObjectURL(blob);
  const before = performance.now();
  try {
    await image.decode();
  } catch (error) {
    URL.revokeObjectURL(image.src);
    throw error;
  }
  return { image, decode_ms: performance.now() - before };
}
