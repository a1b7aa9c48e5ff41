// The checks that need no server and no browser.

import { ROOT, run, say, tool } from "./run.mjs";

const WEB = `${ROOT}/apps/web`;

const CHECKS = [
  { title: "types", commands: [[tool("tsc"), "-p", "tsconfig.json"]] },
  {
    title: "types of the console",
    commands: [
      [tool("next"), "typegen"],
      [tool("tsc"), "-p", "tsconfig.json"],
      // Apart: the types of Next change those of Node, which the servers of the browser tests are started with.
      [tool("tsc"), "-p", "e2e/tsconfig.json"],
      [tool("tsc"), "-p", "test/tsconfig.json"],
    ],
    cwd: WEB,
  },
  { title: "format", commands: [[tool("biome"), "check", "--error-on-warnings"]] },
  { title: "lint", commands: [[tool("oxlint"), "--type-aware", "--deny-warnings"]] },
  { title: "dead code", commands: [[tool("knip"), "--no-progress", "--no-config-hints"]] },
];

/** Runs them all, also after one failed. Returns the titles of those that failed. */
export async function runChecks() {
  const failed = [];
  for (const { title, commands, cwd = ROOT } of CHECKS) {
    say(`checking ${title}`);
    for (const command of commands) {
      if ((await run({ title, command, cwd, timeoutMs: 180_000 })) === 0) continue;
      failed.push(title);
      break;
    }
  }
  return failed;
}
