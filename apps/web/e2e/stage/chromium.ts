import { chromiumPath } from "./config.ts";

/** How Playwright starts the browser. */
export function launchOptions(): { args: string[]; executablePath?: string } {
  const executablePath = chromiumPath();
  // The sandbox of Chromium does not start as root.
  const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  // Nothing outside this machine is asked for anything.
  const args = [...sandbox, "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"];
  return { args, ...(executablePath === undefined ? {} : { executablePath }) };
}
