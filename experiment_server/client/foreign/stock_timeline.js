/**
 * A timeline of jsPsych's own plugins that takes part in a study through its HTTP API.
 *
 * It needs nothing of Unitscope's page. Bundle it with jsPsych from npm and serve it
 * from the same origin as the API, for example behind the same proxy.
 */
import callFunction from "@jspsych/plugin-call-function";
import htmlButtonResponse from "@jspsych/plugin-html-button-response";
import preload from "@jspsych/plugin-preload";
import surveyMultiChoice from "@jspsych/plugin-survey-multi-choice";
import { initJsPsych } from "jspsych";

const jsPsych = initJsPsych();
let token = null;
let state = null;
/** What the next message says: its path and its body. */
let message = null;

/** Send a message again until there is a reply; every one of them may be repeated. */
async function post(path, body) {
  for (let failures = 0; ; failures += 1) {
    try {
      const reply = await fetch(`/api/${path}`, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          ...(token ? { Authorization: `Bearer ${token}` } : {}),
        },
        body: JSON.stringify(body),
      });
      const content = await reply.json();
      if (reply.ok) return content;
      // A refusal that tells where the session stands is not an error: go on there.
      if (content.state) return content.state;
      if (reply.status < 500) throw new Error(content.detail);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** Math.min(failures, 4)));
  }
}

/** Send what a screen left in `message`, and learn which screen is next. */
const send = {
  type: callFunction,
  async: true,
  func: async (done) => {
    const reply = await post(...message);
    if (reply.token) token = reply.token;
    state = reply.state ?? reply;
    done(state.screen);
  },
};

const elapsed = () => ({ time_elapsed_ms: jsPsych.getTotalTime() });
const paragraphs = (text) =>
  text
    .split(/\n\s*\n/)
    .map((one) => `<p>${one.replace(/</g, "&lt;").replace(/\*\*(.+?)\*\*/g, "<b>$1</b>")}</p>`)
    .join("");

/** A page of text with buttons; `reply` makes the message from the button's number. */
function page(screen, text, choices, reply) {
  return {
    timeline: [
      {
        type: htmlButtonResponse,
        stimulus: () => paragraphs(text()),
        choices,
        on_finish: ({ response }) => (message = reply(response)),
      },
      send,
    ],
    conditional_function: () => state?.screen === screen,
  };
}

function goOn(screen, text) {
  const leave = () => ["session/continue", { screen, ...elapsed() }];
  return page(screen, () => text, ["Continue"], leave);
}

const start = {
  timeline: [
    {
      type: htmlButtonResponse,
      stimulus: "<p>Press start to take part.</p>",
      choices: ["Start"],
      on_finish: () => {
        const participant = new URLSearchParams(location.search).get("participant");
        message = ["sessions", { join_key: crypto.randomUUID(), participant }];
      },
    },
    send,
  ],
  conditional_function: () => state === null,
};

const questions = {
  timeline: [
    {
      type: surveyMultiChoice,
      questions: () =>
        state.comprehension.questions.map(({ text, options }) => ({
          prompt: text,
          options,
          required: true,
        })),
      on_finish: ({ response }) => {
        const answers = state.comprehension.questions.map(({ options }, number) =>
          options.indexOf(response[`Q${number}`]),
        );
        message = ["session/comprehension", { answers, ...elapsed() }];
      },
    },
    send,
  ],
  conditional_function: () => state?.screen === "comprehension",
};

/** One cell of the atlas as an element. */
function picture({ image, cell }, [x, y]) {
  return `<div style="width:112px;height:112px;overflow:hidden;display:inline-block">
    <div style="width:${cell}px;height:${cell}px;transform:scale(0.5);
      transform-origin:0 0;background:url(${image}) -${x}px -${y}px"></div></div>`;
}

function layout(trial) {
  const group = (cells) =>
    `<div style="width:350px">${cells.map((one) => picture(trial, one)).join("")}</div>`;
  const question = trial.instruction
    ? `This time, choose the ${trial.instruction.choose} image.`
    : "Which of the two images in the centre fits the right examples better?";
  const centre = `<div>${picture(trial, trial.upper)}<br>${picture(trial, trial.lower)}</div>`;
  return `<p data-sequence="${trial.sequence}">${question}</p>
    <div style="display:flex;gap:20px;justify-content:center;align-items:center">
    ${group(trial.left)}${centre}${group(trial.right)}</div>`;
}

const trial = {
  timeline: [
    { type: preload, images: () => [state.trial.image], show_progress_bar: false },
    {
      type: htmlButtonResponse,
      stimulus: () => layout(state.trial),
      choices: () =>
        ["upper", "lower"].flatMap((row) =>
          Array.from(
            { length: state.settings.confidence_levels },
            (_, index) => `${row} ${index + 1}`,
          ),
        ),
      enable_button_after: () => state.settings.lock_ms,
      on_finish: ({ response, rt }) => {
        const levels = state.settings.confidence_levels;
        const answer = {
          sequence: state.trial.sequence,
          idempotency_key: crypto.randomUUID(),
          chosen: response < levels ? "upper" : "lower",
          confidence: (response % levels) + 1,
          rt_ms: rt,
          input: "mouse",
          // jsPsych counts from where it inserts the images; nobody saw the paint.
          onset: { method: "inserted" },
          ...elapsed(),
        };
        message = ["session/answers", answer];
      },
    },
    send,
  ],
  conditional_function: () => state?.screen === "trial",
};

const ENDED = [
  "end",
  "declined",
  "practice_failed",
  "comprehension_failed",
  "withdrawn",
  "timed_out",
];
const last = {
  type: htmlButtonResponse,
  stimulus: () =>
    state.screen === "end"
      ? `<p>Your code: <b data-code>${state.completion_code}</b></p>`
      : `<p>The session is over.</p>`,
  choices: [],
};

jsPsych.run([
  {
    timeline: [
      start,
      page(
        "consent",
        () => state.consent.text,
        ["I agree", "I do not agree"],
        (button) => {
          const { version } = state.consent;
          return ["session/consent", { agreed: button === 0, consent_version: version }];
        },
      ),
      page(
        "instructions",
        () => state.instructions.pages.map(({ text }) => text).join("\n\n"),
        ["Continue"],
        () => ["session/instructions", elapsed()],
      ),
      questions,
      trial,
      goOn("practice_again", "Not all answers were correct. Once more."),
      goOn("practice_passed", "All answers were correct. The study starts."),
      goOn("break", "Rest for a moment."),
      page(
        "feedback",
        () => "Thank you.",
        ["Continue"],
        () => ["session/feedback", { text: "" }],
      ),
      page(
        "debrief",
        () => state.debrief.text,
        ["Finish"],
        () => ["session/finish", elapsed()],
      ),
    ],
    loop_function: () => !ENDED.includes(state.screen),
  },
  last,
]);
