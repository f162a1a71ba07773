/** Every word that the page itself says, looked up by name. */

import de from "./messages/de.json";
import en from "./messages/en.json";

export type MessageName = keyof typeof en;
type Messages = Readonly<Record<MessageName, string>>;

/** A language that lacks a message does not compile. */
const LANGUAGES = { en, de } satisfies Record<string, Messages>;

let messages: Messages = en;

/** Speak a language, and English where there is no such language. */
export function useLanguage(language: string): void {
  const known = language in LANGUAGES;
  messages = known ? LANGUAGES[language as keyof typeof LANGUAGES] : en;
  document.documentElement.lang = known ? language : "en";
}

/** Return a message with its {named} places filled. */
export function say(
  name: MessageName,
  values: Readonly<Record<string, string | number>> = {},
): string {
  return messages[name].replace(/\{(\w+)\}/g, (place, key: string) =>
    String(values[key] ?? place),
  );
}
