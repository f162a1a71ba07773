/** The experimenter's self-test: what this browser can do; it starts no session. */

import "./pages.css";

import "./selftest.css";

import { display, learnRefresh } from "./display";
import { element } from "./dom";
import * as measure from "./measures";
import { say, useLanguage } from "./messages";

type Verdict = "good" | "fair" | "bad";
type Name =
  | "window"
  | "clock"
  | "storage"
  | "connection"
  | "screen"
  | "decoding"
  | "onset";

interface Finding {
  /** The same in every language. */
  name: Name;
  verdict: Verdict;
  /** What was found, in a sentence. */
  text: string;
  values: object;
}

function verdict(value: number, good: number, fair: number): Verdict {
  return value <= good ? "good" : value <= fair ? "fair" : "bad";
}

/** A number as the page's language writes it. */
function written(value: number, digits: number): string {
  const form = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return value.toLocaleString(document.documentElement.lang, form);
}

function ms(value: number, digits = value < 10 ? 1 : 0): string {
  return `${written(value, digits)}\u00a0ms`;
}

async function windowSize(): Promise<Finding> {
  const [least_width, least_height] = await measure.minWindow();
  const values = display();
  const { width, height } = values;
  const ratio = values.device_pixel_ratio;
  const sizes = { width, height, ratio, least_width, least_height };
  return {
    name: "window",
    verdict: width >= least_width && height >= least_height ? "good" : "bad",
    text: say("self_test.window_text", sizes),
    values,
  };
}

async function refresh(): Promise<Finding> {
  await learnRefresh();
  const values = await measure.frames();
  const rate = written(values.refresh_hz, 1);
  const late = written(100 * values.late_share, 1);
  return {
    name: "screen",
    verdict: verdict(values.late_share, 0.01, 0.05),
    text: say("self_test.screen_text", { rate, late }),
    values,
  };
}

function clock(): Finding {
  const values = measure.clockStep();
  return {
    name: "clock",
    verdict: verdict(values.step_ms, 1, 5),
    text: say("self_test.clock_text", { step: ms(values.step_ms, 3) }),
    values,
  };
}

async function storage(): Promise<Finding> {
  const values = await measure.storage();
  const n = Number(values.indexeddb) + Number(values.localstorage);
  const found = (["none", "one", "both"] as const)[n]!;
  return {
    name: "storage",
    verdict: (["bad", "fair", "good"] as const)[n]!,
    text: say(`self_test.storage_${found}`),
    values,
  };
}

async function connection(): Promise<Finding> {
  const values = await measure.roundTrips();
  const { n, n_failed } = values;
  const [median, most] = [ms(values.median_ms), ms(values.most_ms)];
  return {
    name: "connection",
    verdict: n_failed ? "bad" : verdict(values.median_ms, 200, 1000),
    text:
      n_failed === n
        ? say("self_test.connection_none", { n })
        : say("self_test.connection_text", { median, most, n_failed, n }),
    values,
  };
}

async function onsets(host: HTMLElement): Promise<Finding[]> {
  const { trials, decode_ms } = await measure.trials(host);
  const decoding: Finding = {
    name: "decoding",
    verdict: verdict(decode_ms.median, 50, 200),
    text: say("self_test.decoding_text", { median: ms(decode_ms.median) }),
    values: decode_ms,
  };
  const values = measure.onsetQuality(trials);
  const { median_lag_ms, n, n_within_a_frame: n_near } = values;
  if (median_lag_ms === null) {
    const text = say("self_test.onset_none");
    return [decoding, { name: "onset", verdict: "fair", text, values }];
  }
  const median = ms(median_lag_ms);
  return [
    decoding,
    {
      name: "onset",
      verdict: verdict(1 - (values.share_within_a_frame ?? 0), 0.1, 0.25),
      text: say("self_test.onset_text", { n_near, n, median }),
      values,
    },
  ];
}

function row({ name, verdict: given, text }: Finding): HTMLElement {
  const mark = element("span", { class: `mark ${given}` }, say(`self_test.${given}`));
  return element(
    "tr",
    { "data-finding": name, "data-verdict": given },
    element("th", { scope: "row" }, say(`self_test.${name}`)),
    element("td", {}, mark),
    element("td", {}, text),
  );
}

function button(text: string, kind = ""): HTMLButtonElement {
  return element("button", { type: "button", class: kind }, text);
}

async function main(root: HTMLElement): Promise<void> {
  const rows = element("tbody");
  const trials = element("div", { class: "self-test-trials", "aria-hidden": "true" });
  const state = element("p", { role: "status" }, say("self_test.running"));
  const name = say("self_test.report");
  const report = element("textarea", { rows: 12, readonly: true, "aria-label": name });
  const copy = button(say("self_test.copy"), "primary");
  const again = button(say("self_test.again"));
  const results = element("div", { hidden: true }, report);
  results.append(element("div", { class: "actions" }, copy, again));
  const page = element(
    "main",
    { class: "page" },
    element("h1", {}, say("self_test.title")),
    element("p", {}, say("self_test.intro")),
    state,
    element("table", { class: "findings" }, rows),
    results,
  );
  root.replaceChildren(page, trials);
  const found: Finding[] = [];
  const add = (...findings: Finding[]): void => {
    found.push(...findings);
    rows.append(...findings.map(row));
  };
  add(await windowSize(), clock(), await storage(), await connection());
  add(await refresh());
  add(...(await onsets(trials)));
  trials.remove();
  const all = { browser: navigator.userAgent, at: new Date().toISOString(), found };
  report.value = JSON.stringify(all, null, 2);
  results.hidden = false;
  page.dataset["ready"] = "true";
  const n = found.filter((one) => one.verdict !== "good").length;
  state.textContent = n
    ? say("self_test.done_some", { n, n_all: found.length })
    : say("self_test.done");
  again.addEventListener("click", () => location.reload());
  copy.addEventListener("click", () => {
    report.select();
    // Without a secure context there is no clipboard: the text is selected instead.
    void navigator.clipboard?.writeText(report.value).then(() => {
      copy.textContent = say("button.copied");
    });
  });
}

useLanguage(document.documentElement.lang);
document.title = `${say("self_test.title")}: ${document.title}`;
void main(document.body.appendChild(element("div", { id: "app" }))).catch((error) => {
  const text = say("self_test.failed", { error: String(error) });
  document.body.append(element("p", { role: "alert" }, text));
});
