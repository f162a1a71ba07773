/** Elements made without markup strings, so that no text is ever read as HTML. */

type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;
type Child = Node | string | null | undefined;

export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== undefined && value !== false) {
      made.setAttribute(name, String(value));
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Return a line of text in which **bold** is the only markup. */
export function line(text: string): Node[] {
  return text
    .split(/\*\*(.+?)\*\*/g)
    .map((part, index) =>
      index % 2 ? element("strong", {}, part) : document.createTextNode(part),
    );
}

/** Return paragraphs; an empty line separates them. */
export function paragraphs(text: string): HTMLParagraphElement[] {
  return text
    .trim()
    .split(/\n\s*\n/)
    .map((paragraph) => element("p", {}, ...line(paragraph)));
}

/** Take a first paragraph that is all bold for the title. */
export function titled(text: string, otherwise: string): { title: string; text: string } {
  const [, title, rest] = /^\s*\*\*([^*]+)\*\*\s*\n\s*\n([\s\S]*)$/.exec(text) ?? [];
  return title && rest ? { title, text: rest } : { title: otherwise, text };
}
