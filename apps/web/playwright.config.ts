import { defineConfig } from "@playwright/test";
import { launchOptions } from "./e2e/stage/chromium.ts";
import { resultFile } from "./e2e/stage/config.ts";

export default defineConfig({
  testMatch: "**/*.spec.ts",
  // flows: what an operator does. a11y: axe on every page and state. visual: pictures of each page.
  projects: ["flows", "a11y", "visual"].map((name) => ({ name, testDir: `e2e/${name}` })),
  globalSetup: "./e2e/stage/before-all.ts",
  fullyParallel: true,
  forbidOnly: true,
  // Each has a stage of its own: eight processes.
  workers: 2,
  retries: 0,
  timeout: 120_000,
  expect: { timeout: 20_000 },
  reporter: [["list"], ["json", { outputFile: resultFile() }]],
  use: {
    trace: "retain-on-failure",
    launchOptions: launchOptions(),
  },
});
