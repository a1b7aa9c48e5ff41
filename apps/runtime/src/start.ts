// What `npm start` runs once the packages are there: the whole of Drawdown on this machine, until Ctrl-C.
// `--dir <folder>` keeps the data elsewhere than in `.drawdown/` of this checkout.

import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { describe } from "./cli/failure.ts";
import { type Config, readConfig } from "./config.ts";
import { openCleanup } from "./start/cleanup.ts";
import { openProgress, type Progress } from "./start/progress.ts";
import { type Stack, startStack } from "./start/stack.ts";

const root = join(import.meta.dirname, "../../..");
const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129, disconnect: 1 } as const;

const print = (line: string) => void process.stdout.write(`${line}\n`);

process.exit(await main());

/** Returns the exit code: 0 when it ran and was told to stop, 1 when it failed. */
async function main(): Promise<number> {
  // A terminal that was closed must not keep the rest from being stopped.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  const progress = openProgress(print);
  const cleanup = openCleanup();
  const told = untilToldToStop();
  let starting: Promise<Stack> | undefined;
  try {
    const { values } = parseArgs({ options: { dir: { type: "string", default: join(root, ".drawdown") } } });
    const config = readOwnConfig();
    starting = startStack({ dir: resolve(values.dir), root, config, cleanup, progress });
    const first = await Promise.race([starting, told]);
    if (typeof first === "string") return exitCodes[first];
    present(first, values.dir, progress);
    const end = await Promise.race([first.broken, told]);
    if (typeof end !== "string") throw end;
    return 0;
  } catch (error) {
    return fail(error);
  } finally {
    await stopAll(cleanup, progress, starting);
    progress.end();
  }
}

function fail(error: unknown): number {
  const { message, detail } = describe(error);
  process.stderr.write(`\n${message}\n${detail === undefined ? "" : `${detail}\n`}`);
  return 1;
}

/** The settings of the environment alone: a stack that an earlier start wrote down may be a thing of the past. */
function readOwnConfig(): Config {
  return readConfig([], undefined, "");
}

// Signals may come twice (from the terminal to the whole group, and passed on by the launcher): the second changes
// nothing. The launcher's channel closes when it is killed.
function untilToldToStop(): Promise<keyof typeof exitCodes> {
  return new Promise((toldBy) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => toldBy(signal));
    process.once("disconnect", () => toldBy("disconnect"));
  });
}

// What is still starting ends as well: its processes are stopped under it, and what it starts after that is stopped at once.
async function stopAll(
  cleanup: ReturnType<typeof openCleanup>,
  progress: Progress,
  starting: Promise<Stack> | undefined,
): Promise<void> {
  const problems = await progress.during("stopping", cleanup.run());
  await Promise.allSettled([starting]);
  for (const problem of [...problems, ...(await cleanup.run())]) process.stderr.write(`${problem}\n`);
}

function present({ consoleUrl, gatewayUrl, seeded }: Stack, dir: string, progress: Progress): void {
  progress.end();
  const apiKey = seeded.keys[0]?.api_key ?? "";
  const body = JSON.stringify({ model: "gpt-4o-mini", messages: [{ role: "user", content: "Hello" }] });
  print("");
  print(`Console   ${consoleUrl}`);
  for (const { email, password, role } of seeded.operators)
    print(`          sign in as ${email} / ${password} (${role})`);
  print(`Gateway   ${gatewayUrl}`);
  print(`API key   ${apiKey}`);
  print(`Data      ${dir} (logs in ${join(dir, "logs")}); Ctrl-C stops everything`);
  print("");
  print(
    `curl ${gatewayUrl}/v1/chat/completions -H "Authorization: Bearer ${apiKey}" -H "Content-Type: application/json" -d '${body}'`,
  );
}
