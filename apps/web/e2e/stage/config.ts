// What the browser tests read from the environment. `npm test` sets the first two; the third is this run's own word to its workers.
import { existsSync } from "node:fs";

/** The Chromium of this machine, named by `npm test` or found; undefined: the one that Playwright has installed. */
export function chromiumPath(): string | undefined {
  return (
    process.env["CHROMIUM_PATH"] || ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((path) => existsSync(path))
  );
}

export function resultFile(): string {
  return process.env["PLAYWRIGHT_JSON"] ?? "test-results/results.json";
}

const TEMPLATE = "DRAWDOWN_STAGE_TEMPLATE";

/** The folder of a migrated, seeded Postgres that each worker's stage copies. */
export function announcedTemplate(): string | undefined {
  return process.env[TEMPLATE] || undefined;
}

export function announceTemplate(folder: string): void {
  process.env[TEMPLATE] = folder;
}

/** What a process of the stage inherits: nothing that would make it differ from machine to machine. */
export function basicEnvironment(): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "" };
}
