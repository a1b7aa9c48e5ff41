// The test suites, and what they report in their JSON files.

import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ROOT, run, say, tool } from "./run.mjs";

const RESULTS = join(ROOT, "test-results");

/** @typedef {{ passed: number, failed: number }} Totals */

/**
 * Runs the tests of some vitest projects (unit, live, sim).
 * @returns {Promise<Totals>}
 */
export async function runVitest({ title, projects, timeoutMs, env = {} }) {
  const json = resultFile(`${projects.join("-")}.json`);
  say(`running ${title}`);
  const code = await run({
    title,
    command: [
      tool("vitest"),
      "run",
      ...projects.map((project) => `--project=${project}`),
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${json}`,
    ],
    env,
    timeoutMs,
  });
  const report = read(json);
  if (report === undefined) return { passed: 0, failed: 1 };
  // A file that fails before its first test has no tests to count.
  const brokenFiles = report.testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.length === 0,
  );
  return orFailed({ passed: report.numPassedTests, failed: report.numFailedTests + brokenFiles.length }, code);
}

/**
 * Runs the browser tests against a production build that is there.
 * @returns {Promise<Totals>}
 */
export async function runBrowserTests({ title, chromium, timeoutMs }) {
  const json = resultFile("browser.json");
  say(`running ${title}`);
  const code = await run({
    title,
    command: [tool("playwright"), "test"],
    cwd: join(ROOT, "apps/web"),
    env: {
      PLAYWRIGHT_JSON: json,
      ...(chromium === undefined ? {} : { CHROMIUM_PATH: chromium }),
    },
    timeoutMs,
  });
  const report = read(json);
  if (report === undefined) return { passed: 0, failed: 1 };
  const { expected, unexpected, flaky } = report.stats;
  return orFailed({ passed: expected, failed: unexpected + flaky }, code);
}

// An error outside any test (an unhandled rejection, a server that did not start) fails the run without failing a test.
function orFailed(totals, code) {
  return code !== 0 && totals.failed === 0 ? { ...totals, failed: 1 } : totals;
}

function resultFile(name) {
  mkdirSync(RESULTS, { recursive: true });
  const path = join(RESULTS, name);
  rmSync(path, { force: true });
  return path;
}

function read(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}
