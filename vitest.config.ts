import { join } from "node:path";
import { defineConfig } from "vitest/config";

// The suffix of a test file says what it needs: nothing (unit), real Postgres and Redis (live), or those and a seeded
// schedule of crashes (sim).
const exclude = ["**/node_modules/**", "**/.next/**", "**/.drawdown/**"];

/** Each test file has a process of its own, so what a start costs is paid by each. */
const execArgv = [`--import=${join(import.meta.dirname, "apps/runtime/bin/drizzle-as-commonjs.mjs")}`];

const withServers = {
  execArgv,
  globalSetup: ["./vitest.live-setup.ts"],
  // Each file has servers and databases of its own. Two at a time is what two cores carry without upsetting deadlines.
  maxWorkers: 2,
  // Against what hangs. Starting the processes of one test has taken a shared machine more than 30 s, where 7 are usual.
  testTimeout: 120_000,
  hookTimeout: 120_000,
  teardownTimeout: 60_000,
};

/** As apps/web/tsconfig.json says it. */
const resolve = { alias: { "@": join(import.meta.dirname, "apps/web/src") } };

export default defineConfig({
  test: {
    pool: "forks",
    projects: [
      { resolve, test: { name: "unit", include: ["**/*.unit.test.ts"], exclude, execArgv, testTimeout: 15_000 } },
      { resolve, test: { name: "live", include: ["**/*.live.test.ts"], exclude, ...withServers } },
      { test: { name: "sim", include: ["**/*.sim.test.ts"], exclude, ...withServers } },
    ],
  },
});
