/** The task as a jsPsych plugin, for timelines that others write. */

import { initJsPsych } from "jspsych";

import { loadAtlas } from "./atlases";
import "./style.css";
import { TwoGroupsChoicePlugin } from "./trial_plugin";

Object.assign(window, { unitscope: { initJsPsych, loadAtlas, TwoGroupsChoicePlugin } });
