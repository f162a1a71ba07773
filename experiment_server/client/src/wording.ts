/** The words of a trial: the page's own, or those that a study has in their place. */

import { say } from "./messages";

/** Texts by the names of the messages that they stand for. */
export type Wording = Readonly<Record<string, string>>;
export type Say = typeof say;

/** Return what says the given words, and the page's own where none is given. */
export function saying(wording: Wording): Say {
  return (name, values = {}) => {
    const own: string | undefined = wording[name];
    return own === undefined ? say(name, values) : fill(own, values);
  };
}

function fill(text: string, values: Readonly<Record<string, string | number>>): string {
  return text.replace(/\{(\w+)\}/g, (place, key: string) => String(values[key] ?? place));
}
