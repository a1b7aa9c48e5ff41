import { defineConfig } from "@playwright/test";

// `npm test` chooses the port and the browser; run by hand, both have defaults.
const port = Number(process.env.CONSOLE_TEST_PORT ?? 3100);
const executablePath = process.env.CHROMIUM_PATH;
const isRoot = process.getuid?.() === 0;

export default defineConfig({
  testDir: "e2e",
  testMatch: "**/*.spec.ts",
  fullyParallel: true,
  forbidOnly: true,
  workers: 2,
  retries: 0,
  timeout: 30_000,
  reporter: [["list"], ["json", { outputFile: process.env.PLAYWRIGHT_JSON ?? "test-results/results.json" }]],
  use: {
    baseURL: `http://127.0.0.1:${port}`,
    trace: "retain-on-failure",
    launchOptions: {
      // The sandbox of Chromium does not start as root. Nothing outside this machine is asked for anything.
      args: [
        ...(isRoot ? ["--no-sandbox"] : []),
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
      ],
      ...(executablePath === undefined ? {} : { executablePath }),
    },
  },
  webServer: {
    // One process: `npx next start` would leave a child behind.
    command: `node ../../node_modules/next/dist/bin/next start --hostname 127.0.0.1 --port ${port}`,
    url: `http://127.0.0.1:${port}`,
    reuseExistingServer: false,
    timeout: 60_000,
    gracefulShutdown: { signal: "SIGTERM", timeout: 5_000 },
    env: { NEXT_TELEMETRY_DISABLED: "1" },
  },
});
