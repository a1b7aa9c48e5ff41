#!/usr/bin/env node
// Starts the command line under the pinned Node. Any Node of at least 20 can run this file; one that cannot run the command line
// itself (it runs TypeScript as it stands) starts the pinned one and becomes its shadow: same signals, same exit.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import module from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const [major = 0] = process.versions.node.split(".").map(Number);

if (major >= 24) {
  module.enableCompileCache?.();
  if (process.env.DRAWDOWN_SHADOW === "1" && process.channel) {
    delete process.env.DRAWDOWN_SHADOW;
    process.channel.unref();
    process.once("disconnect", () => process.kill(process.pid, "SIGKILL"));
  }
  await import("./drizzle-as-commonjs.mjs");
  const { main } = await import("../src/cli.ts");
  await main(process.argv.slice(2));
} else {
  shadow(pinnedNode());
}

function pinnedNode() {
  for (let folder = here; folder !== dirname(folder); folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", ".bin", "node");
    if (existsSync(candidate)) return candidate;
  }
  process.stderr.write(
    "drawdown: the pinned Node is not installed. Run `npm install` in the checkout, or use Node 24.\n",
  );
  process.exit(1);
}

function shadow(node) {
  // The IPC channel carries no message: its closing tells the child that this process was killed, so that no process stays behind.
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    env: { ...process.env, DRAWDOWN_SHADOW: "1" },
  });
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR2"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    process.stderr.write(`drawdown: ${node} cannot be started: ${error.message}\n`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
    setTimeout(() => process.exit(128 + (constants.signals[signal] ?? 0)), 1000);
  });
}
