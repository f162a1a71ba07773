/** Questions about the instructions, each with options of which one is right. */

import { element, line } from "./dom";
import { say } from "./messages";
import { page } from "./pages";
import type { Question } from "./types";

/** Ask all questions on one page; resolves with the numbers of the chosen options. */
export async function ask(
  host: HTMLElement,
  { questions }: { questions: readonly Question[] },
): Promise<number[]> {
  const fields = questions.map(field);
  const missing = element(
    "p",
    { class: "missing", role: "alert" },
    say("comprehension.missing"),
  );
  const answers = (): (number | null)[] => fields.map(chosen);
  const areAllAnswered = (): boolean => {
    const open = answers().indexOf(null);
    missing.remove();
    fields[open]?.querySelector("legend")?.after(missing);
    fields[open]?.querySelector("input")?.focus();
    return open === -1;
  };
  await page(host, {
    title: say("comprehension.title"),
    text: say("comprehension.text"),
    more: fields,
    actions: [
      { name: "continue", text: say("button.continue"), isAllowed: areAllAnswered },
    ],
  });
  return answers().map((answer) => answer ?? -1);
}

function field({ text, options }: Question, number: number): HTMLFieldSetElement {
  return element(
    "fieldset",
    { "data-question": number },
    element("legend", {}, ...line(text)),
    ...options.map((option, index) =>
      element(
        "label",
        {},
        element("input", { type: "radio", name: `question-${number}`, value: index }),
        element("span", {}, ...line(option)),
      ),
    ),
  );
}

function chosen(fieldset: HTMLFieldSetElement): number | null {
  const option = fieldset.querySelector<HTMLInputElement>("input:checked");
  return option ? Number(option.value) : null;
}
