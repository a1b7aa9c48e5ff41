// A picture of a page, for who works on it: `node apps/web/e2e/look.ts /accounts --role admin --width 320 --dark` (with the pinned Node, in
// node_modules/.bin). It writes test-results/look/<path>.png and says what the page logged. `--keep` leaves a stage running until Ctrl-C,
// with demo data, which every further look uses: each then takes seconds. The pages are those of the last build (`next build` in apps/web).
import { readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "@playwright/test";
import { launchOptions } from "./stage/chromium.ts";
import { openStage, type Stage } from "./stage/open.ts";
import { signInTo } from "./stage/sign-in.ts";
import type { Role } from "./stage/template.ts";

type Kept = Pick<Stage, "consoleUrl" | "gatewayUrl" | "operators" | "keys" | "env">;

const folder = join(import.meta.dirname, "../../../test-results/look");
const keptFile = join(folder, "stage.json");

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    width: { type: "string", default: "1440" },
    height: { type: "string", default: "900" },
    dark: { type: "boolean", default: false },
    role: { type: "string", default: "admin" },
    zone: { type: "string", default: "UTC" },
    "signed-out": { type: "boolean", default: false },
    fold: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
  },
});

await mkdir(folder, { recursive: true });
if (values.keep) await keep();
else await look(positionals);
process.exit();

async function keep(): Promise<void> {
  const stage = await openStage({ demo: true });
  const { consoleUrl, gatewayUrl, operators, keys, env } = stage;
  await writeFile(keptFile, JSON.stringify({ consoleUrl, gatewayUrl, operators, keys, env } satisfies Kept));
  for (const { email, password, role } of operators) say(`${role}: ${email} / ${password}`);
  say(`${consoleUrl} (Ctrl-C ends it)`);
  await new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, resolve);
  });
  await rm(keptFile, { force: true });
  await stage.close();
}

async function look(paths: string[]): Promise<void> {
  const kept = await findKept();
  const own = kept === undefined ? await openStage({ demo: true }) : undefined;
  try {
    for (const path of paths.length === 0 ? ["/"] : paths) await takePicture(kept ?? own, path);
  } finally {
    await own?.close();
  }
}

async function findKept(): Promise<Kept | undefined> {
  try {
    const kept = JSON.parse(readFileSync(keptFile, "utf8")) as Kept;
    return (await fetch(`${kept.consoleUrl}/sign-in`)).ok ? kept : undefined;
  } catch {
    return undefined;
  }
}

async function takePicture(stage: Kept | undefined, path: string): Promise<void> {
  if (stage === undefined) return;
  const browser = await chromium.launch(launchOptions());
  const context = await browser.newContext({
    baseURL: stage.consoleUrl,
    viewport: { width: Number(values.width), height: Number(values.height) },
    colorScheme: values.dark ? "dark" : "light",
    timezoneId: values.zone,
  });
  const page = await context.newPage();
  page.on("console", (message) => say(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => say(`error: ${error.message}`));
  if (!values["signed-out"]) await signInTo(stage, page, values.role as Role);
  await page.goto(path);
  // Live subscriptions keep the network busy for ever: a second without a change is what a picture needs.
  await page.waitForTimeout(1_500);
  const name = `${path.replaceAll(/\W+/g, "-").replaceAll(/^-|-$/g, "") || "overview"}-${values.width}${values.dark ? "-dark" : ""}.png`;
  await page.screenshot({ path: join(folder, name), fullPage: !values.fold });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wide > 0) say(`scrolls sideways by ${wide} px`);
  say(join(folder, name));
  await browser.close();
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
