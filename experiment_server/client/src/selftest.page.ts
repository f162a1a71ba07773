/** The experimenter's self-test: what this browser can do; it starts no session. */

import "./pages.css";

import "./selftest.css";

import { element } from "./dom";
import { display, learnRefresh } from "./display";
import * as measure from "./measures";

type Verdict = "good" | "fair" | "bad";

interface Finding {
  name: string;
  verdict: Verdict;
  /** What was found, in a sentence. */
  text: string;
  values: object;
}

const WORDS: Record<Verdict, string> = { good: "Good", fair: "Look at this", bad: "Bad" };

function verdict(value: number, good: number, fair: number): Verdict {
  return value <= good ? "good" : value <= fair ? "fair" : "bad";
}

function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}

async function windowSize(): Promise<Finding> {
  const [width, height] = await measure.minWindow();
  const values = display();
  const fits = values.width >= width && values.height >= height;
  return {
    name: "Window",
    verdict: fits ? "good" : "bad",
    text:
      `${values.width} × ${values.height} pixels, pixel ratio` +
      ` ${values.device_pixel_ratio}; the study needs ${width} × ${height}.`,
    values,
  };
}

async function refresh(): Promise<Finding> {
  await learnRefresh();
  const values = await measure.frames();
  const late = `${(100 * values.late_share).toFixed(1)} % of frames came late`;
  return {
    name: "Screen",
    verdict: verdict(values.late_share, 0.01, 0.05),
    text: `${values.refresh_hz.toFixed(1)} frames a second; ${late}.`,
    values,
  };
}

function clock(): Finding {
  const values = measure.clockStep();
  return {
    name: "Clock",
    verdict: verdict(values.step_ms, 1, 5),
    text: `Time is told in steps of ${values.step_ms.toFixed(3)} ms.`,
    values,
  };
}

async function storage(): Promise<Finding> {
  const values = await measure.storage();
  const n = Number(values.indexeddb) + Number(values.localstorage);
  const texts = [
    "Denied. Answers that are not sent yet are lost when the page is closed.",
    "One of two places is denied; answers are kept in the other.",
    "Answers that are not sent yet survive a reload.",
  ];
  return {
    name: "Storage",
    verdict: (["bad", "fair", "good"] as const)[n]!,
    text: texts[n]!,
    values,
  };
}

async function connection(): Promise<Finding> {
  const values = await measure.roundTrips();
  return {
    name: "Connection",
    verdict: values.n_failed ? "bad" : verdict(values.median_ms, 200, 1000),
    text:
      `${ms(values.median_ms)} to the server and back, ${ms(values.most_ms)} at most;` +
      ` ${values.n_failed} of ${values.n} requests failed.`,
    values,
  };
}

async function onsets(host: HTMLElement): Promise<Finding[]> {
  const { trials, decode_ms } = await measure.trials(host);
  const decoding: Finding = {
    name: "Decoding",
    verdict: verdict(decode_ms.median, 50, 200),
    text: `The images of a trial are decoded in ${ms(decode_ms.median)}.`,
    values: decode_ms,
  };
  const values = measure.onsetQuality(trials);
  if (values.median_lag_ms === null) {
    const text = "This browser does not report when it painted; lags are not known.";
    return [decoding, { name: "Onset", verdict: "fair", text, values }];
  }
  return [
    decoding,
    {
      name: "Onset",
      verdict: verdict(1 - (values.share_within_a_frame ?? 0), 0.1, 0.25),
      text:
        `In ${values.n_within_a_frame} of ${values.n} trials the images were presented` +
        ` within a frame of the onset; the median is ${ms(values.median_lag_ms)}.`,
      values,
    },
  ];
}

function row({ name, verdict: given, text }: Finding): HTMLElement {
  return element(
    "tr",
    { "data-finding": name.toLowerCase(), "data-verdict": given },
    element("th", { scope: "row" }, name),
    element("td", {}, element("span", { class: `mark ${given}` }, WORDS[given])),
    element("td", {}, text),
  );
}

async function main(root: HTMLElement): Promise<void> {
  const rows = element("tbody");
  const trials = element("div", { class: "self-test-trials", "aria-hidden": "true" });
  const state = element("p", { role: "status" }, "Testing. Leave this window in front.");
  const report = element("textarea", { rows: 12, readonly: true, "aria-label": "Report" });
  const copy = element("button", { type: "button", class: "primary" }, "Copy the report");
  const again = element("button", { type: "button" }, "Test again");
  const results = element("div", { hidden: true }, report);
  results.append(element("div", { class: "actions" }, copy, again));
  const table = element("table", { class: "findings" }, rows);
  const heading = element("h1", {}, "Self-test");
  const intro = "How well this browser can run the study. No session is started.";
  const page = element("main", { class: "page" }, heading, element("p", {}, intro), state);
  page.append(table, results);
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
  const n_bad = found.filter((one) => one.verdict !== "good").length;
  state.textContent = n_bad
    ? `Done: ${n_bad} of ${found.length} points to look at.`
    : "Done: this browser is good for the study.";
  again.addEventListener("click", () => location.reload());
  copy.addEventListener("click", () => {
    report.select();
    // Without a secure context there is no clipboard: the text is selected instead.
    void navigator.clipboard?.writeText(report.value).then(() => {
      copy.textContent = "Copied";
    });
  });
}

void main(document.body.appendChild(element("div", { id: "app" }))).catch((error) => {
  document.body.append(element("p", { role: "alert" }, `The self-test failed: ${error}`));
});
