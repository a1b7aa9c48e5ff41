// Finds a Chromium for the browser tests, or installs one.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";
import { run, say, tool } from "./run.mjs";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const APPS = ["/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"];

const execute = promisify(execFile);

/**
 * The path of a Chromium that starts; `undefined` means the one that Playwright has installed itself.
 * Throws when there is none and none can be installed.
 */
export async function ensureChromium() {
  const found = await findChromium();
  if (found !== undefined) return found;
  if (await playwrightHasOne()) return undefined;
  say("installing Chromium (Playwright's own)");
  const downloaded = await run({
    title: "installing Chromium",
    command: [tool("playwright"), "install", "chromium"],
    env: { PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT: "20000" },
    timeoutMs: 300_000,
  });
  if (downloaded === 0) {
    const privileged = await withRoot([tool("playwright"), "install-deps", "chromium"]);
    if (privileged !== undefined) {
      await run({ title: "installing what Chromium needs", command: privileged, timeoutMs: 300_000 });
    }
    if (await playwrightHasOne()) return undefined;
  }
  await installByPackageManager();
  const installed = await findChromium();
  if (installed !== undefined) return installed;
  throw new Error(
    "No Chromium for the browser tests: install the package chromium, or run npx playwright install chromium.",
  );
}

async function findChromium() {
  for (const name of [...NAMES, ...APPS]) {
    // Ubuntu's chromium-browser may be a stub that only says how to install a snap.
    const starts = await execute(name, ["--version"]).then(
      () => true,
      () => false,
    );
    if (!starts) continue;
    if (name.startsWith("/")) return name;
    return (await execute("/bin/sh", ["-c", `command -v ${name}`])).stdout.trim();
  }
  return undefined;
}

async function playwrightHasOne() {
  try {
    const { chromium } = await import("@playwright/test");
    return existsSync(chromium.executablePath());
  } catch {
    return false;
  }
}

async function installByPackageManager() {
  const script =
    "apt-get -q -o DPkg::Lock::Timeout=120 update; " +
    "apt-get -q -o DPkg::Lock::Timeout=120 install -y --no-install-recommends chromium";
  const hasApt = await execute("apt-get", ["--version"]).catch(() => undefined);
  const command = hasApt === undefined ? undefined : await withRoot(["/bin/sh", "-c", script]);
  if (command === undefined) return;
  say("installing Chromium (package chromium through apt-get)");
  await run({ title: "installing Chromium", command, env: { DEBIAN_FRONTEND: "noninteractive" }, timeoutMs: 600_000 });
}

async function withRoot(command) {
  if (process.getuid?.() === 0) return command;
  return execute("sudo", ["-n", "true"]).then(
    () => ["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive", ...command],
    () => undefined,
  );
}
