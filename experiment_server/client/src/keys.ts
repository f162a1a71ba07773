/** Which key gives which answer; keys are named by their place on the keyboard. */

import type { Row } from "./types";

const CODES: Record<Row, readonly string[]> = {
  upper: ["KeyQ", "KeyW", "KeyE", "KeyR", "KeyT", "KeyY"],
  lower: ["KeyA", "KeyS", "KeyD", "KeyF", "KeyG", "KeyH"],
};

interface LayoutMap {
  get(code: string): string | undefined;
}

let layout: LayoutMap | null = null;

/** Learn what is printed on the keys, where the browser tells. */
export async function learnLayout(): Promise<void> {
  const keyboard = (
    navigator as Navigator & { keyboard?: { getLayoutMap?: () => Promise<LayoutMap> } }
  ).keyboard;
  layout = (await keyboard?.getLayoutMap?.().catch(() => null)) ?? null;
}

export function keyCode(row: Row, confidence: number): string {
  return CODES[row][confidence - 1] ?? "";
}

/** Return what is printed on the key. */
export function keyLabel(row: Row, confidence: number): string {
  const code = keyCode(row, confidence);
  return (layout?.get(code) ?? code.slice(-1)).toUpperCase();
}

/** Return the answer that a key gives, or null. */
export function keyAnswer(
  code: string,
  levels: number,
): { chosen: Row; confidence: number } | null {
  for (const chosen of ["upper", "lower"] as const) {
    const confidence = CODES[chosen].indexOf(code) + 1;
    if (confidence >= 1 && confidence <= levels) return { chosen, confidence };
  }
  return null;
}
