/** What happens to the window during a session, told to the server now and then. */

import { ask, Refusal } from "./api";
import type { SessionClock } from "./clock";
import { setZoom } from "./display";
import type { Scale, Store } from "./store";
import type { EventName, SessionEvent, WindowSize } from "./types";

const QUIET_MS = 1000;
/** The server takes no more at once. */
const MAX_POSTED = 100;
/** What a long time without a connection may leave behind. */
const MAX_KEPT = 500;

export function windowSize(): WindowSize {
  return {
    width: innerWidth,
    height: innerHeight,
    device_pixel_ratio: devicePixelRatio,
  };
}

export function scaleNow(): Scale {
  return {
    device_pixel_ratio: devicePixelRatio,
    outer_by_inner: outerWidth / Math.max(1, innerWidth),
  };
}

/**
 * Return the zoom as a ratio to that at the session's start.
 *
 * Zoom and another screen both change the pixel ratio, but only zoom changes how many
 * of the page's pixels fit into a window of the same size.
 */
export function zoomSince(start: Scale, now: Scale): number {
  const pixels = now.device_pixel_ratio / start.device_pixel_ratio;
  const room = now.outer_by_inner / start.outer_by_inner;
  const isOtherScreen = Math.abs(room - 1) < 0.02 && Math.abs(pixels - 1) > 0.02;
  const pinched = visualViewport?.scale ?? 1;
  return Math.round((isOtherScreen ? 1 : pixels) * pinched * 100) / 100;
}

interface Followed {
  token: string;
  clock: SessionClock;
}

/** Losses while one trial was open. */
export interface Losses {
  n_focus_losses: number;
  n_hidden: number;
}

export class Watch {
  readonly #store: Store;
  #followed: Followed | null = null;
  #trial: number | null = null;
  #losses: Losses = { n_focus_losses: 0, n_hidden: 0 };
  #isAway = false;
  #isFull = isFullscreen();
  #zoom = 1;
  #isWindowNew = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isTelling = false;
  /** Called when the window fills the screen, and when it no longer does. */
  onFullscreen: (isFull: boolean) => void = () => undefined;

  constructor(store: Store) {
    this.#store = store;
    addEventListener("blur", () => this.#leave("blur"));
    addEventListener("focus", () => this.#return("focus"));
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") this.#leave("hidden");
      else this.#return("visible");
    });
    addEventListener("resize", () => this.#resized());
    addEventListener("offline", () => this.record("offline"));
    addEventListener("online", () => this.record("online"));
    const checkFull = (): void => this.#checkFullscreen();
    document.addEventListener("fullscreenchange", checkFull);
    matchMedia("(display-mode: fullscreen)").addEventListener("change", checkFull);
    addEventListener("pagehide", () => {
      this.record("pagehide");
      void this.#tell(true);
    });
  }

  /** Begin to tell the server. */
  follow(followed: Followed): void {
    this.#followed = followed;
    this.#checkZoom();
    if (this.#store.keeper !== "indexeddb") this.record("storage_denied");
    this.#tellSoon();
  }

  /** A trial is shown. */
  open(sequence: number): void {
    this.#trial = sequence;
    this.#losses = { n_focus_losses: 0, n_hidden: 0 };
  }

  /** The trial is answered; returns what was lost while it was open. */
  close(): Losses {
    this.#trial = null;
    return this.#losses;
  }

  record(event: EventName, value: number | null = null): void {
    const kept = this.#store.session();
    if (!this.#followed || !kept) return;
    const happened: SessionEvent = {
      number: kept.next_event,
      event,
      trial: this.#trial,
      time_ms: this.#followed.clock.elapsed(),
      value,
    };
    const events = [...kept.events, happened].slice(-MAX_KEPT);
    void this.#store.update({ events, next_event: kept.next_event + 1 });
    this.#tellSoon();
  }

  #leave(event: "blur" | "hidden"): void {
    if (!this.#isAway) this.#losses.n_focus_losses += 1;
    this.#isAway = true;
    if (event === "hidden") this.#losses.n_hidden += 1;
    this.record(event);
  }

  #return(event: "focus" | "visible"): void {
    this.#isAway = false;
    this.record(event);
  }

  #resized(): void {
    this.#isWindowNew = true;
    this.#checkZoom();
    this.#tellSoon();
  }

  #checkZoom(): void {
    const start = this.#store.session()?.scale;
    if (!start) return;
    const zoom = zoomSince(start, scaleNow());
    setZoom(zoom);
    if (zoom === this.#zoom) return;
    this.#zoom = zoom;
    this.record("zoom", zoom);
  }

  #checkFullscreen(): void {
    const isFull = isFullscreen();
    if (isFull === this.#isFull) return;
    this.#isFull = isFull;
    this.record(isFull ? "fullscreenenter" : "fullscreenexit");
    this.onFullscreen(isFull);
  }

  #tellSoon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#isWindowNew) this.record("resize", innerWidth);
      void this.#tell(false);
    }, QUIET_MS);
  }

  /** Best effort: what fails is told with the next event. */
  async #tell(keepalive: boolean): Promise<void> {
    const kept = this.#store.session();
    if (!this.#followed || !kept || (this.#isTelling && !keepalive)) return;
    const events = kept.events.slice(0, MAX_POSTED);
    if (!events.length && !this.#isWindowNew) return;
    this.#isWindowNew = false;
    this.#isTelling = true;
    const body = { events, window: windowSize() };
    const { token } = this.#followed;
    try {
      // What the server refuses it would refuse again.
      await ask("session/events", { token, body, keepalive }).catch(unlessRefused);
      const told = new Set(events.map(({ number }) => number));
      const left = (this.#store.session()?.events ?? []).filter(
        ({ number }) => !told.has(number),
      );
      await this.#store.update({ events: left });
      if (left.length) this.#tellSoon();
    } catch {
      // Kept, and told with the next event.
    } finally {
      this.#isTelling = false;
    }
  }
}

function unlessRefused(error: unknown): void {
  if (!(error instanceof Refusal) || error.status >= 500) throw error;
}

export function isFullscreen(): boolean {
  return (
    document.fullscreenElement !== null ||
    matchMedia("(display-mode: fullscreen)").matches
  );
}
