/** What the self-test measures: frames, clock, storage, connection, decoding, onsets. */

import { ask } from "./api";
import { frameIntervals, median } from "./display";
import { show } from "./onset";
import { TrialView } from "./trial_view";
import type { Onset, Point, StudyInfo } from "./types";
import { delay } from "./waiting";

const N_FRAMES = 120;
const N_ROUND_TRIPS = 10;
const N_TRIALS = 20;
const N_IMAGES = 20;
const COLUMNS = 5;
const CELL = 224;
const SHOWN_MS = 120;

export async function minWindow(): Promise<[number, number]> {
  return (await ask<StudyInfo>("study")).min_window;
}

/** Frame rate, and the share of frames that came more than half a frame late. */
export async function frames(): Promise<{
  refresh_hz: number;
  median_ms: number;
  most_ms: number;
  late_share: number;
}> {
  const intervals = await frameIntervals(N_FRAMES);
  const usual = median(intervals);
  const late = intervals.filter((one) => one > 1.5 * usual);
  return {
    refresh_hz: 1000 / usual,
    median_ms: usual,
    most_ms: Math.max(...intervals),
    late_share: late.length / intervals.length,
  };
}

/** The least step of the clock that times are taken with. */
export function clockStep(): { step_ms: number } {
  let step_ms = Infinity;
  const stop = performance.now() + 50;
  for (let before = performance.now(); before < stop; ) {
    const now = performance.now();
    if (now > before) step_ms = Math.min(step_ms, now - before);
    before = now;
  }
  return { step_ms };
}

/** Whether the browser lets the page keep something. */
export async function storage(): Promise<{ indexeddb: boolean; localstorage: boolean }> {
  return { indexeddb: await allowsIndexedDb(), localstorage: allowsLocalStorage() };
}

function allowsLocalStorage(): boolean {
  try {
    localStorage.setItem("unitscope.self-test", "1");
    localStorage.removeItem("unitscope.self-test");
    return true;
  } catch {
    return false;
  }
}

function allowsIndexedDb(): Promise<boolean> {
  return new Promise((resolve) => {
    try {
      const request = indexedDB.open("unitscope.self-test");
      request.onsuccess = () => {
        request.result.close();
        indexedDB.deleteDatabase("unitscope.self-test");
        resolve(true);
      };
      request.onerror = () => resolve(false);
      request.onblocked = () => resolve(false);
    } catch {
      resolve(false);
    }
  });
}

export async function roundTrips(): Promise<{
  n: number;
  n_failed: number;
  median_ms: number;
  most_ms: number;
}> {
  const times: number[] = [];
  for (let n = 0; n < N_ROUND_TRIPS; n += 1) {
    const before = performance.now();
    const went = await ask("study").then(
      () => true,
      () => false,
    );
    if (went) times.push(performance.now() - before);
  }
  return {
    n: N_ROUND_TRIPS,
    n_failed: N_ROUND_TRIPS - times.length,
    median_ms: times.length ? median(times) : Infinity,
    most_ms: times.length ? Math.max(...times) : Infinity,
  };
}

/** Show trials of coloured noise, as a participant would see them, without input. */
export async function trials(host: HTMLElement): Promise<{
  trials: Onset[];
  decode_ms: { median: number; most: number };
}> {
  const onsets: Onset[] = [];
  const decoding: number[] = [];
  for (let number = 0; number < N_TRIALS; number += 1) {
    const image = new Image();
    image.src = URL.createObjectURL(await noise());
    const before = performance.now();
    await image.decode();
    decoding.push(performance.now() - before);
    onsets.push(await shown(host, image, `self-test-${number}`, decoding.at(-1)!));
    URL.revokeObjectURL(image.src);
  }
  return {
    trials: onsets,
    decode_ms: { median: median(decoding), most: Math.max(...decoding) },
  };
}

async function shown(
  host: HTMLElement,
  image: HTMLImageElement,
  name: string,
  decode_ms: number,
): Promise<Onset> {
  const cells = Array.from({ length: N_IMAGES }, (_, cell): Point => [
    CELL * (cell % COLUMNS),
    CELL * Math.floor(cell / COLUMNS),
  ]);
  const place = {
    cell: CELL,
    upper: cells[0]!,
    lower: cells[1]!,
    left: cells.slice(2, 11),
    right: cells.slice(11),
    instruction: null,
  };
  const view = new TrialView(place, image, { levels: 3, name });
  host.replaceChildren(view.root);
  await view.decode();
  const on = await show(() => view.reveal(), name, view.images.length);
  await delay(SHOWN_MS);
  const quality = on.quality(decode_ms);
  on.release();
  host.replaceChildren();
  return quality;
}

/** An atlas of noise, as large as a trial's. */
function noise(): Promise<Blob> {
  const canvas = document.createElement("canvas");
  canvas.width = COLUMNS * CELL;
  canvas.height = (N_IMAGES / COLUMNS) * CELL;
  const context = canvas.getContext("2d")!;
  for (let y = 0; y < canvas.height; y += 8) {
    for (let x = 0; x < canvas.width; x += 8) {
      context.fillStyle = `hsl(${Math.random() * 360} 60% ${30 + Math.random() * 50}%)`;
      context.fillRect(x, y, 8, 8);
    }
  }
  return new Promise((resolve, reject) => {
    canvas.toBlob(
      (blob) => (blob ? resolve(blob) : reject(new Error("no image"))),
      "image/jpeg",
      0.9,
    );
  });
}

/** How near the onsets are to the browser's own reports; null where it has none. */
export function onsetQuality(onsets: readonly Onset[]): {
  n: number;
  n_within_a_frame: number;
  share_within_a_frame: number | null;
  median_lag_ms: number | null;
  trials: readonly Onset[];
} {
  const reported = onsets.filter((one) => one.lag_ms !== null);
  const near = reported.filter((one) => Math.abs(one.lag_ms!) <= (one.frame_ms ?? 0));
  const some = reported.length > 0;
  return {
    n: onsets.length,
    n_within_a_frame: near.length,
    share_within_a_frame: some ? near.length / reported.length : null,
    median_lag_ms: some ? median(reported.map((one) => one.lag_ms!)) : null,
    trials: onsets,
  };
}
