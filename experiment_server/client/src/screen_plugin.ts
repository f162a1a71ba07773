/** A jsPsych plugin for any screen that a function shows. */

import { type JsPsych, type JsPsychPlugin, ParameterType, type TrialType } from "jspsych";

const info = {
  name: "study-screen",
  version: "0.1.0",
  parameters: {
    /** Shows the screen in the element it is given; resolves when it is left. */
    show: { type: ParameterType.FUNCTION, default: undefined },
  },
  data: {
    /** Time on the screen in ms. */
    rt: { type: ParameterType.FLOAT },
  },
} as const;

export class StudyScreenPlugin implements JsPsychPlugin<typeof info> {
  static readonly info = info;

  constructor(private readonly jsPsych: JsPsych) {}

  async trial(
    display: HTMLElement,
    trial: TrialType<typeof info>,
    onLoad?: () => void,
  ): Promise<void> {
    const before = performance.now();
    const left = trial.show(display) as Promise<void>;
    onLoad?.();
    await left;
    this.jsPsych.finishTrial({ rt: performance.now() - before });
  }
}
