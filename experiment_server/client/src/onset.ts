/** When a trial appeared on the screen, and how well that is known. */

import type { Onset } from "./types";
import { nextFrame } from "./waiting";

/** A trial that has been revealed. */
export interface Shown {
  /** The moment that response times count from, on the clock of performance.now(). */
  onset_ms: number;
  /** What is known of the onset so far; the browser's report comes a little later. */
  quality(decode_ms: number | null): Onset;
  /** Stop waiting for the browser's report. */
  release(): void;
}

interface ElementTiming extends PerformanceEntry {
  identifier: string;
  renderTime: number;
}

/**
 * Reveal what is laid out unseen, and tell when it was painted.
 *
 * Two frames after layout, one style change reveals all of it. Its onset is the time
 * stamp of the frame after that: the first moment at which what was painted for the
 * frame before can be on the screen. All `n_images` images have the elementtiming
 * attribute `name`; where the browser has Element Timing, it reports when it presented
 * each, and the last of them counts.
 */
export async function show(
  reveal: () => void,
  name: string,
  n_images: number,
): Promise<Shown> {
  const report = reportOf(name, n_images);
  await nextFrame();
  const revealed_ms = await nextFrame();
  reveal();
  const onset_ms = await nextFrame();
  return {
    onset_ms,
    quality: (decode_ms) => {
      const presented_ms = report.presented_ms();
      const element_ms = presented_ms === null ? null : presented_ms - onset_ms;
      return {
        method: element_ms === null ? "next_frame" : "next_frame+element_timing",
        lag_ms: element_ms,
        element_ms,
        frame_ms: onset_ms - revealed_ms,
        decode_ms,
      };
    },
    release: report.release,
  };
}

function reportOf(
  name: string,
  n_images: number,
): { presented_ms: () => number | null; release: () => void } {
  if (!PerformanceObserver.supportedEntryTypes?.includes("element")) {
    return { presented_ms: () => null, release: () => undefined };
  }
  const times: number[] = [];
  const note = (entries: PerformanceEntryList): void => {
    for (const { identifier, renderTime } of entries as ElementTiming[]) {
      if (identifier === name && renderTime > 0) times.push(renderTime);
    }
  };
  const observer = new PerformanceObserver((list) => note(list.getEntries()));
  observer.observe({ type: "element" });
  return {
    presented_ms: () => {
      // What the browser has noted but not handed over yet.
      note(observer.takeRecords());
      return times.length < n_images ? null : Math.max(...times);
    },
    release: () => observer.disconnect(),
  };
}
