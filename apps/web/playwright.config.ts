import { defineConfig } from "@playwright/test";
import { launchOptions } from "./e2e/stage/chromium.ts";
import { resultFile } from "./e2e/stage/config.ts";

export default defineConfig({
  testMatch: "**/*.spec.ts",
  // flows: what an operator does. a11y: every page in every state, for axe in every look; it takes the pictures that visual judges.
  projects: [
    { name: "flows", testDir: "e2e/flows" },
    { name: "a11y", testDir: "e2e/a11y" },
    { name: "visual", testDir: "e2e/visual", dependencies: ["a11y"] },
  ],
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
    // Without its film, which takes a fifth of the machine while all goes well: what the page was at each step is in it all the same.
    trace: { mode: "retain-on-failure", screenshots: false, sources: false },
    launchOptions: launchOptions(),
  },
});
