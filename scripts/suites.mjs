// The test suites, and what they report in their JSON files.

import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { cpus } from "node:os";
import { join, relative } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { ROOT, run, say, tool } from "./run.mjs";

const RESULTS = join(ROOT, "test-results");
const SLOWEST = 5;
const REASON_LINES = 12;

/** @typedef {{ passed: number, failed: number, reasons: string[] }} Totals `reasons`: a text for each failure known. */

/**
 * Runs the tests of some vitest projects (unit, live, sim).
 * @returns {Promise<Totals>}
 */
export async function runVitest({ title, projects, timeoutMs, env = {} }) {
  const json = resultFile(`${projects.join("-")}.json`);
  say(`running ${title}`);
  const code = await timed({
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
  if (report === undefined) return { passed: 0, failed: 1, reasons: [] };
  saySlowest(title, report.testResults);
  // A file that fails before its first test has no tests to count.
  const brokenFiles = report.testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.length === 0,
  );
  const reasons = [
    ...report.testResults.flatMap((file) =>
      file.assertionResults
        .filter(({ status }) => status === "failed")
        .map((test) => reason(file.name, test.fullName, test.failureMessages.join("\n"))),
    ),
    ...brokenFiles.map((file) => reason(file.name, "before its first test", file.message)),
  ];
  return orFailed({ passed: report.numPassedTests, failed: report.numFailedTests + brokenFiles.length, reasons }, code);
}

/**
 * Runs the browser tests against a production build that is there.
 * @returns {Promise<Totals>}
 */
export async function runBrowserTests({ title, chromium, timeoutMs }) {
  const json = resultFile("browser.json");
  say(`running ${title}`);
  const code = await timed({
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
  if (report === undefined) return { passed: 0, failed: 1, reasons: [] };
  const { expected, unexpected, flaky } = report.stats;
  const reasons = report.suites
    .flatMap(specsOf)
    .filter(({ tests }) => tests.some(({ status }) => status === "unexpected" || status === "flaky"))
    .map((spec) => reason(join(report.config.rootDir, spec.file), spec.title, playwrightErrors(spec.tests)));
  return orFailed({ passed: expected, failed: unexpected + flaky, reasons }, code);
}

function specsOf({ specs = [], suites = [] }) {
  return [...specs, ...suites.flatMap(specsOf)];
}

function playwrightErrors(tests) {
  return tests
    .flatMap(({ results }) => results.flatMap(({ errors = [] }) => errors))
    .map(({ message = "" }) => message)
    .join("\n");
}

// Said again after everything else: whoever keeps only the end of a long log still reads what failed, and why.
function reason(path, title, message) {
  const lines = stripVTControlCharacters(message)
    .split("\n")
    .filter((line) => !line.includes("/node_modules/"))
    .slice(0, REASON_LINES);
  return [`${relative(ROOT, path)} › ${title}`, ...lines.map((line) => `    ${line}`)].join("\n");
}

// Where the time goes, and whether the machine was busy or waited: what a suite waits for can overlap with another's work.
async function timed(step) {
  const [startedAt, before] = [performance.now(), coreTimes()];
  const code = await run(step);
  const after = coreTimes();
  const busy = 1 - (after.idle - before.idle) / Math.max(1, after.all - before.all);
  say(
    `${step.title}: ${Math.round((performance.now() - startedAt) / 1_000)} s, cores ${Math.round(busy * 100)} % busy`,
  );
  return code;
}

function coreTimes() {
  const times = cpus().map(({ times: { idle, ...rest } }) => ({
    idle,
    all: Object.values(rest).reduce((a, b) => a + b, idle),
  }));
  const sum = (of) => times.reduce((total, core) => total + of(core), 0);
  return { idle: sum(({ idle }) => idle), all: sum(({ all }) => all) };
}

function saySlowest(title, files) {
  const seconds = ({ startTime, endTime }) => (endTime - startTime) / 1_000;
  const slowest = files.toSorted((a, b) => seconds(b) - seconds(a)).slice(0, SLOWEST);
  say(
    `${title}, slowest: ${slowest.map((file) => `${relative(ROOT, file.name)} ${Math.round(seconds(file))} s`).join(", ")}`,
  );
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
