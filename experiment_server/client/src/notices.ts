/** The bar that tells when the connection is in trouble. */

import { element } from "./dom";
import { say } from "./messages";

/** Whose trouble it is. */
export type Notice = "answers" | "images";
/** No connection; something between here and the server; a server with trouble. */
export type Trouble = "offline" | "blocked" | "busy";

const bar = element("div", { class: "notice", role: "status", hidden: true });
const open = new Map<Notice, Trouble>();
let nWaiting = 0;

export function noticeBar(): HTMLElement {
  return bar;
}

/** Show a notice, or take it away. */
export function setNotice(notice: Notice, trouble: Trouble | boolean | null): void {
  if (trouble) open.set(notice, trouble === true ? "offline" : trouble);
  else open.delete(notice);
  draw();
}

/** Tell how many answers the server has not acknowledged. */
export function setWaiting(n: number): void {
  nWaiting = n;
  draw();
}

function draw(): void {
  bar.hidden = open.size === 0;
  bar.dataset["notice"] = [...open.keys()].join(" ");
  bar.dataset["waiting"] = String(nWaiting);
  const text = words();
  // The same words again would be read aloud again.
  if (bar.textContent !== text) bar.textContent = text;
}

function words(): string {
  const trouble = open.get("answers");
  if (!trouble) return open.has("images") ? say("notice.images") : "";
  const kept =
    nWaiting === 0
      ? say("notice.kept_none")
      : nWaiting === 1
        ? say("notice.kept_one")
        : say("notice.kept", { n: nWaiting });
  return `${say(`notice.${trouble}`)} ${kept}`;
}
