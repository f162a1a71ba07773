/** What opens over a screen: the way out, and which keys do what. */

import { element, paragraphs } from "./dom";
import { keyLabel } from "./keys";
import { type MessageName, say } from "./messages";
import type { Row } from "./types";

type Wish = "keep" | "delete";

/** Ask whether to stop; resolves with the wish, or null to go on. */
export async function askToStop(
  root: HTMLElement,
  withdrawal: string | null,
): Promise<Wish | null> {
  const button = (name: MessageName, value: string, kind = ""): HTMLButtonElement =>
    element("button", { value, class: kind, "data-action": value }, say(name));
  const chosen = await opened(
    root,
    "stop-title",
    say("stop.title"),
    ...paragraphs(withdrawal ?? say("stop.text")),
    element(
      "div",
      { class: "actions column" },
      button("button.go_on", "go-on", "primary"),
      button("button.stop_keep", "keep"),
      button("button.stop_delete", "delete"),
    ),
  );
  return chosen === "keep" || chosen === "delete" ? chosen : null;
}

/** Tell the keys; `levels` is null where they give no answers. */
export async function showKeys(
  root: HTMLElement,
  levels: number | null,
): Promise<void> {
  const row = (keys: readonly string[], meaning: string): HTMLElement =>
    element(
      "div",
      {},
      element("dt", {}, ...keys.map((key) => element("kbd", {}, key))),
      element("dd", {}, meaning),
    );
  const answers = (side: Row): HTMLElement[] => {
    if (levels === null) return [];
    const numbers = Array.from({ length: levels }, (_, index) => index + 1);
    const keys = numbers.map((level) => keyLabel(side, level));
    return [row(keys, say(`keys.${side}`, { levels }))];
  };
  await opened(
    root,
    "keys-title",
    say("keys.title"),
    element(
      "dl",
      { class: "keys" },
      ...answers("upper"),
      ...answers("lower"),
      row([say("key.enter"), say("key.space")], say("keys.continue")),
      row(["←", "→"], say("keys.turn")),
      row([say("key.tab")], say("keys.tab")),
      row(["?"], say("keys.help")),
    ),
    element(
      "div",
      { class: "actions" },
      element(
        "button",
        { value: "close", class: "primary", "data-action": "close" },
        say("button.close"),
      ),
    ),
  );
}

/** Open a dialog; resolves with the value of the button that closed it. */
function opened(
  root: HTMLElement,
  id: string,
  title: string,
  ...content: Node[]
): Promise<string> {
  const before = document.activeElement;
  const dialog = element(
    "dialog",
    { "aria-labelledby": id },
    element("form", { method: "dialog" }, element("h1", { id }, title), ...content),
  );
  root.append(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
      resolve(dialog.returnValue);
    });
    dialog.showModal();
  });
}
