/** Promises for time that passes and for frames that are painted. */

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Resolve with the time stamp of the next frame. */
export function nextFrame(): Promise<number> {
  return new Promise((resolve) => requestAnimationFrame(resolve));
}

/** Wait longer after each failure, or until the browser is online again. */
export function backOff(failures: number): Promise<void> {
  const longest = Math.min(8000, 400 * 2 ** failures);
  // Browsers that lost the same server should not come back in the same moment.
  const ms = longest * (0.5 + Math.random() / 2);
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    addEventListener("online", done);
  });
}

/** A last screen is never left. */
export function forever(): Promise<never> {
  return new Promise(() => undefined);
}
