import { initJsPsych } from "jspsych";
import "jspsych/css/jspsych.css";

initJsPsych();
