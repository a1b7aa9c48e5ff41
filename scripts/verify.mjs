// `npm run verify`: every check that needs no server, in under a minute.

import { runChecks } from "./checks.mjs";
import { ensurePackages } from "./packages.mjs";
import { say } from "./run.mjs";
import { runVitest } from "./suites.mjs";

try {
  await ensurePackages();
} catch (error) {
  say(error.message);
  process.exit(1);
}
const failedChecks = await runChecks();
const unit = await runVitest({ title: "unit tests", projects: ["unit"], timeoutMs: 300_000 });
for (const title of failedChecks) say(`failed: ${title}`);
say(`${unit.passed} passed, ${unit.failed + failedChecks.length} failed`);
process.exitCode = failedChecks.length === 0 && unit.failed === 0 && unit.passed > 0 ? 0 : 1;
