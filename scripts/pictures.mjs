// `npm run pictures`: takes the pictures of the console's pages that README shows, and keeps them in docs/pictures.

import { readdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { ensureChromium } from "./chromium.mjs";
import { ensurePackages } from "./packages.mjs";
import { ROOT, run, say, tool } from "./run.mjs";

const PICTURES = join(ROOT, "docs/pictures");
/** A page has few colours; its picture is a third of the size with as many as these. */
const COLOURS = 96;

async function take() {
  await ensurePackages();
  const chromium = await ensureChromium();
  const build = [tool("turbo"), "run", "build", "--filter=@drawdown/web"];
  if ((await run({ title: "building the console", command: build })) !== 0) return 1;
  return await run({
    title: "taking pictures",
    command: [tool("playwright"), "test", "--project=visual"],
    cwd: join(ROOT, "apps/web"),
    env: { KEEP_PICTURES: "1", ...(chromium === undefined ? {} : { CHROMIUM_PATH: chromium }) },
  });
}

/** By the library that Next brings for its own pictures. */
async function shrink() {
  const require = createRequire(join(ROOT, "node_modules/next/package.json"));
  const sharp = require("sharp");
  const names = (await readdir(PICTURES)).filter((name) => name.endsWith(".png"));
  for (const name of names) {
    const file = join(PICTURES, name);
    const picture = await readFile(file);
    if ((await sharp(picture).metadata()).isPalette) continue;
    await writeFile(file, await sharp(picture).png({ palette: true, colours: COLOURS, effort: 10 }).toBuffer());
  }
  say(`${names.length} pictures in docs/pictures`);
}

process.exitCode = await take();
if (process.exitCode === 0) await shrink();
