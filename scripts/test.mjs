// `npm test`: installs what it needs, then every check: types, lint, unit, live on real servers, and the browser on a
// production build. Its last line is `N passed, N failed`: the tests that passed, and the tests and checks that failed.
// `npm test -- --seeds 500` simulates more than the 200 seeds, and for each twenty of them one with real processes.

import { parseArgs } from "node:util";
import { runChecks } from "./checks.mjs";
import { ensureChromium } from "./chromium.mjs";
import { ensurePackages } from "./packages.mjs";
import { run, say, tool } from "./run.mjs";
import { runBrowserTests, runVitest } from "./suites.mjs";

const SEEDS = 200;
const SEEDS_PER_PROCESS_SEED = 20;
const SIMULATION_MS = { least: 600_000, perSeed: 12_000 };

const failures = [];
let passed = 0;
let failed = 0;

function count(title, totals) {
  passed += totals.passed;
  failed += totals.failed;
  if (totals.failed > 0) failures.push(`${title}: ${totals.failed}`, ...totals.reasons);
}

function countFailure(title) {
  failed += 1;
  failures.push(title);
}

async function step(title, command, timeoutMs) {
  say(title);
  const code = await run({ title, command, timeoutMs });
  if (code !== 0) countFailure(title);
  return code === 0;
}

async function testBrowser() {
  const title = "browser tests";
  try {
    const chromium = await ensureChromium();
    count(title, await runBrowserTests({ title, chromium, timeoutMs: 2_700_000 }));
  } catch (error) {
    say(error.message);
    countFailure(title);
  }
}

async function simulate(seeds) {
  const title = `simulation of ${seeds} seeds`;
  const env = { SIM_SEEDS: String(seeds), PROCESS_SIM_SEEDS: String(Math.ceil(seeds / SEEDS_PER_PROCESS_SEED)) };
  const timeoutMs = SIMULATION_MS.least + seeds * SIMULATION_MS.perSeed;
  count(title, await runVitest({ title, projects: ["sim"], env, timeoutMs }));
}

function readSeeds() {
  const { values } = parseArgs({ options: { seeds: { type: "string", default: String(SEEDS) } } });
  const seeds = Number(values.seeds);
  if (!Number.isInteger(seeds) || seeds < 1) throw new Error(`--seeds ${values.seeds}: a whole number from 1 on`);
  return seeds;
}

async function testAll() {
  const seeds = readSeeds();
  await ensurePackages();
  for (const title of await runChecks()) countFailure(title);
  count("unit tests", await runVitest({ title: "unit tests", projects: ["unit"], timeoutMs: 300_000 }));
  // Once, and first: live tests start the console too, and two builds at a time would be in each other's way.
  const built = await step("building the console", [tool("turbo"), "run", "build", "--filter=@drawdown/web"], 300_000);
  if (await step("looking for Redis", [tool("node"), "scripts/redis.ts"], 600_000)) {
    const title = "live tests";
    count(title, await runVitest({ title, projects: ["live"], timeoutMs: 1_800_000 }));
    await simulate(seeds);
    if (built) await testBrowser();
  }
}

process.once("exit", () => {
  for (const failure of failures) say(`failed: ${failure}`);
  say(`${passed} passed, ${failed} failed`);
});

try {
  await testAll();
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
} catch (error) {
  say(error.stack ?? String(error));
  countFailure("the test run itself");
  process.exitCode = 1;
}
