/** The task as a jsPsych plugin, for timelines that others write. */

import { initJsPsych } from "jspsych";

import { Atlases, loadAtlas } from "./atlases";
import { TwoGroupsChoicePlugin } from "./trial_plugin";
// Last, because it says where the trial stands on such a page.
import "./plugin.css";

Object.assign(window, {
  unitscope: { Atlases, initJsPsych, loadAtlas, TwoGroupsChoicePlugin },
});
