// `npm start`: installs the packages when they are missing, then hands over to apps/runtime/src/start.ts under the
// pinned Node. That process runs everything else and says what it does.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { ensurePackages } from "./packages.mjs";
import { ROOT, say, stepEnvironment, tool } from "./run.mjs";

try {
  await ensurePackages();
} catch (error) {
  say(error.message);
  process.exit(1);
}
process.removeAllListeners("SIGINT").removeAllListeners("SIGTERM").removeAllListeners("SIGHUP");

// The channel carries no message: its closing tells the child that this process was killed.
const child = spawn(tool("node"), ["apps/runtime/src/start.ts", ...process.argv.slice(2)], {
  cwd: ROOT,
  env: stepEnvironment(),
  stdio: ["inherit", "inherit", "inherit", "ipc"],
});
// In a terminal Ctrl-C reaches the child by itself, elsewhere only we get the signal: it stops once however often it
// is told, so every signal is passed on.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));

// npm runs this script through a shell, and when npm is killed neither it nor the shell tells us: then the shell gets
// another parent.
const launchers = ancestors();
if (process.env.npm_lifecycle_event !== undefined) {
  setInterval(() => {
    if (ancestors() !== launchers) child.kill("SIGTERM");
  }, 500).unref();
}

const [code, signal] = await once(child, "exit");
process.exit(code ?? 128 + (constants.signals[signal] ?? 0));

function ancestors() {
  try {
    const stat = readFileSync(`/proc/${process.ppid}/stat`, "utf8");
    return `${process.ppid} ${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]}`;
  } catch {
    return `${process.ppid}`;
  }
}
