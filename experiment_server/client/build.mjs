// Bundles the pages into ../static/bundle, from where the server sends them;
// make setup runs it.
import { readFile, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));

// Every top-level source named *.page.ts is the entry of one page.
const sources = await readdir(join(here, "src"));
const pages = sources.filter((name) => name.endsWith(".page.ts")).sort();

// jsPsych's package leaves its licence out; whoever sends the bundle on must not.
const licence = await readFile(join(here, "jspsych-licence.txt"), "utf8");

const common = {
  bundle: true,
  format: "iife",
  target: "es2022",
  banner: { js: `/*! With jsPsych.\n${licence}*/` },
  legalComments: "linked",
  logLevel: "info",
};

await build({
  ...common,
  entryPoints: pages.map((name) => ({
    in: join(here, "src", name),
    out: name.slice(0, -".page.ts".length),
  })),
  outdir: join(here, "..", "static", "bundle"),
  minify: true,
  sourcemap: true,
});

// Examples and measurements with jsPsych's own plugins; no server sends these.
const foreign = await readdir(join(here, "foreign"));
await build({
  ...common,
  entryPoints: foreign
    .filter((name) => /\.(ts|js)$/.test(name))
    .map((name) => join(here, "foreign", name)),
  outdir: join(here, "built"),
});
