/** What happens to the window during a session, told to the server now and then. */

import { ask } from "./api";
import type { WindowSize } from "./types";

const QUIET_MS = 1000;

export function windowSize(): WindowSize {
  return {
    width: innerWidth,
    height: innerHeight,
    device_pixel_ratio: devicePixelRatio,
  };
}

/** Counts how often the window lost focus or was hidden while a trial was shown. */
export class Watch {
  #token: string | null = null;
  #inTrial = false;
  #isAway = false;
  #losses = 0;
  #reloads = 0;
  #isWindowNew = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    addEventListener("blur", () => this.#leave());
    addEventListener("focus", () => (this.#isAway = false));
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") this.#leave();
      else this.#isAway = false;
    });
    addEventListener("resize", () => {
      this.#isWindowNew = true;
      this.#tellSoon();
    });
    addEventListener("pagehide", () => this.#tell(true));
  }

  /** Begin to tell the server. */
  follow(token: string, reloads: number): void {
    this.#token = token;
    this.#reloads += reloads;
    if (reloads) this.#tellSoon();
  }

  set inTrial(inTrial: boolean) {
    this.#inTrial = inTrial;
  }

  #leave(): void {
    if (this.#isAway) return;
    this.#isAway = true;
    if (!this.#inTrial) return;
    this.#losses += 1;
    this.#tellSoon();
  }

  #tellSoon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tell(false), QUIET_MS);
  }

  /** Best effort: what fails is told with the next event. */
  #tell(keepalive: boolean): void {
    const [focus_losses, reloads] = [this.#losses, this.#reloads];
    if (!this.#token || (!focus_losses && !reloads && !this.#isWindowNew)) return;
    this.#losses -= focus_losses;
    this.#reloads -= reloads;
    this.#isWindowNew = false;
    const body = { focus_losses, reloads, window: windowSize() };
    ask("session/events", { token: this.#token, body, keepalive }).catch(() => {
      this.#losses += focus_losses;
      this.#reloads += reloads;
    });
  }
}
