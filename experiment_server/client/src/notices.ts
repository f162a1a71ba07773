/** The bar that tells when the connection is in trouble. */

import { element } from "./dom";
import { say } from "./messages";

export type Notice = "answers" | "images";

const bar = element("div", { class: "notice", role: "status", hidden: true });
const open = new Set<Notice>();

export function noticeBar(): HTMLElement {
  return bar;
}

/** Show a notice, or take it away. */
export function setNotice(notice: Notice, shown: boolean): void {
  if (shown) open.add(notice);
  else open.delete(notice);
  bar.hidden = open.size === 0;
  bar.dataset["notice"] = [...open].join(" ");
  bar.textContent = open.has("answers")
    ? say("notice.answers")
    : open.has("images")
      ? say("notice.images")
      : "";
}
