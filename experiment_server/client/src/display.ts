/** What the participant's display is like while a trial is open. */

import { nextFrame } from "./waiting";

export interface Display {
  /** Of the window's inside, in CSS pixels. */
  width: number;
  height: number;
  device_pixel_ratio: number;
  /** Ratio to the zoom at the session's start, 1 is the same; null where nobody
   * measures it. */
  zoom: number | null;
  fullscreen: boolean;
  /** Frames a second; null until it is measured. */
  refresh_hz: number | null;
}

const N_FRAMES = 60;

let zoomNow: number | null = null;
let refresh: Promise<void> | null = null;
let refresh_hz: number | null = null;

/** Say what the zoom is now, as a ratio to that at the session's start. */
export function setZoom(zoom: number): void {
  zoomNow = zoom;
}

/** Measure the frame rate, once; needs a second in which the page is visible. */
export function learnRefresh(): Promise<void> {
  refresh ??= frameIntervals(N_FRAMES).then((intervals) => {
    refresh_hz = Math.round((1000 / median(intervals)) * 10) / 10;
  });
  return refresh;
}

export function display(): Display {
  return {
    width: innerWidth,
    height: innerHeight,
    device_pixel_ratio: devicePixelRatio,
    zoom: zoomNow,
    fullscreen:
      document.fullscreenElement !== null ||
      matchMedia("(display-mode: fullscreen)").matches,
    refresh_hz,
  };
}

/** Return the times between frames, in ms. */
export async function frameIntervals(n_frames: number): Promise<number[]> {
  const intervals: number[] = [];
  let before = await nextFrame();
  while (intervals.length < n_frames) {
    const now = await nextFrame();
    intervals.push(now - before);
    before = now;
  }
  return intervals;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2
    ? sorted[middle]!
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
