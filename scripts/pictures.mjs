// `npm run pictures`: takes the pictures of the console's pages that README shows, and keeps them in docs/pictures.

import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { ensureChromium } from "./chromium.mjs";
import { ensurePackages } from "./packages.mjs";
import { ROOT, run, say, tool } from "./run.mjs";

const WEB = join(ROOT, "apps/web");
/** Where the browser tests leave them. */
const TAKEN = join(WEB, "test-results/pictures");
const KEPT = join(ROOT, "docs/pictures");
/** A page has few colours; its picture is a third of the size with as many as these. */
const COLOURS = 96;

async function take() {
  await ensurePackages();
  const chromium = await ensureChromium();
  const build = [tool("turbo"), "run", "build", "--filter=@drawdown/web"];
  if ((await run({ title: "building the console", command: build })) !== 0) return 1;
  return await run({
    title: "taking pictures",
    // The suite that judges them, after the one that takes them.
    command: [tool("playwright"), "test", "--project=visual", "--grep-invert=kept for readers"],
    cwd: WEB,
    env: chromium === undefined ? {} : { CHROMIUM_PATH: chromium },
    timeoutMs: 1_800_000,
  });
}

/** Smaller, by the library that Next brings for its own pictures. */
async function keep() {
  const require = createRequire(join(ROOT, "node_modules/next/package.json"));
  const sharp = require("sharp");
  const names = await readdir(TAKEN);
  await mkdir(KEPT, { recursive: true });
  for (const name of names) {
    const picture = await readFile(join(TAKEN, name));
    const small = await sharp(picture).png({ palette: true, colours: COLOURS, effort: 10 }).toBuffer();
    await writeFile(join(KEPT, name), small);
  }
  say(`${names.length} pictures in docs/pictures`);
}

process.exitCode = await take();
if (process.exitCode === 0) await keep();
