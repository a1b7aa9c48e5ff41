/** Builds the console's pages. Turborepo decides whether there is anything to do: it knows what was built from which sources. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { childEnvironment } from "../config.ts";
import { Problem } from "../problem.ts";

const checkout = join(import.meta.dirname, "../../../..");
export const pages = join(checkout, "apps/web");

const turbo = join(checkout, "node_modules/.bin/turbo");

/** The build as a command, for whoever starts it. */
export const buildOfPages = {
  command: [turbo, "run", "build", "--filter=@drawdown/web", "--output-logs=errors-only"],
  environment: { NEXT_TELEMETRY_DISABLED: "1", TURBO_TELEMETRY_DISABLED: "1" },
};

/**
 * Builds what is missing or older than its sources; what the build says goes to standard error. The signal ends it. An installation
 * without the tools that build serves what was built before. Throws a Problem when there are no pages to serve then.
 */
export async function buildPages(signal: AbortSignal): Promise<void> {
  if (existsSync(turbo)) await build(signal);
  if (!arePagesBuilt()) throw new Problem("The console's pages are not built, and cannot be built here: run `npm ci`.");
}

export function arePagesBuilt(): boolean {
  return existsSync(join(pages, ".next/BUILD_ID"));
}

async function build(signal: AbortSignal): Promise<void> {
  const [program = turbo, ...args] = buildOfPages.command;
  // A group of its own: the build has workers, and ends with all of them.
  const child = spawn(program, args, {
    cwd: checkout,
    env: childEnvironment(buildOfPages.environment),
    stdio: ["ignore", process.stderr, process.stderr],
    detached: true,
  });
  const end = () => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGTERM");
  };
  signal.addEventListener("abort", end);
  process.once("exit", end);
  try {
    const [code, killed] = await once(child, "exit");
    if (code !== 0)
      throw new Problem(`The console's pages could not be built (${killed ?? `exit code ${code}`}): see above.`);
  } finally {
    signal.removeEventListener("abort", end);
    process.off("exit", end);
  }
}
