/** Every word that the page itself says, looked up by name. */

import en from "./messages/en.json";

export type MessageName = keyof typeof en;

const LANGUAGES: Record<string, Record<MessageName, string>> = { en };

let messages: Record<MessageName, string> = en;

export function useLanguage(language: string): void {
  messages = LANGUAGES[language] ?? en;
  document.documentElement.lang = messages === en ? "en" : language;
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
