// What a stage is made of: servers and processes that can be taken away and brought back at the same address, one at a time.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { promisify } from "node:util";
import { type RunningServer, waitFor } from "@drawdown/local-stack";
import { basicEnvironment } from "./config.ts";

export type Part = {
  /** Ends it as its operator would, and waits. */
  stop: () => Promise<void>;
  /** Ends it as a crash would. */
  kill: () => Promise<void>;
  /** Brings it back, and waits until it is ready; harmless when it runs. */
  start: () => Promise<void>;
};

/** A store: `open` starts it in its folder, on the port that it had. */
export async function storePart(open: (port?: number) => Promise<RunningServer>): Promise<Part & { url: string }> {
  let server: RunningServer | undefined = await open();
  const { url, port } = server;
  const end = async (how: "stop" | "kill") => {
    await server?.[how]();
    server = undefined;
  };
  return {
    url,
    stop: () => end("stop"),
    kill: () => end("kill"),
    start: async () => {
      server ??= await open(port);
    },
  };
}

const root = join(import.meta.dirname, "../../../..");
const bin = join(root, "apps/runtime/bin/drawdown.mjs");
const readyMs = 60_000;
const tailCharacters = 4_000;

export type ProcessPart = Part & {
  /** The last that it wrote. */
  said: () => string;
};

/** `drawdown <args>`, ready when the address answers 200. `start` brings it up the first time too. */
export function processPart(
  args: readonly string[],
  environment: Record<string, string>,
  readyUrl: string,
): ProcessPart {
  let child: ChildProcess | undefined;
  let said = "";
  const runs = () => child !== undefined && child.exitCode === null && child.signalCode === null;
  const end = async (signal: NodeJS.Signals) => {
    if (child === undefined || !runs()) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  };
  return {
    said: () => said,
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
    start: async () => {
      if (!runs()) {
        child = spawnDrawdown(args, environment);
        const keep = (text: string) => {
          said = (said + text).slice(-tailCharacters);
        };
        child.stdout?.setEncoding("utf8").on("data", keep);
        child.stderr?.setEncoding("utf8").on("data", keep);
      }
      const ready = async () => !runs() || (await fetch(readyUrl)).status === 200;
      await waitFor(ready, { timeoutMs: readyMs, what: `drawdown ${args.join(" ")}` }).catch((error: unknown) => {
        throw new Error(`${String(error)}\n${said}`);
      });
      if (!runs()) throw new Error(`drawdown ${args.join(" ")} ended:\n${said}`);
    },
  };
}

// It ends when this process ends, however that is: its channel, on which nothing is ever said, closes then.
function spawnDrawdown(args: readonly string[], environment: Record<string, string>): ChildProcess {
  return spawn(process.execPath, [bin, ...args], {
    env: { ...basicEnvironment(), ...environment, DRAWDOWN_SHADOW: "1" },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
}

/** Runs `drawdown <args>` to its end and returns what it printed. Throws with what it said when it fails. */
export async function runDrawdown(args: readonly string[], environment: Record<string, string>): Promise<string> {
  const child = spawnDrawdown(args, environment);
  let [printed, said] = ["", ""];
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (printed += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (said += text));
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`drawdown ${args.join(" ")} exited ${code}: ${said}${printed}`);
  return printed;
}

/** A command line as somebody would paste it at the root of the checkout. */
export async function runInShell(line: string, environment: Record<string, string>): Promise<void> {
  const env = { ...basicEnvironment(), DRAWDOWN_SHADOW: "1", ...environment };
  await promisify(execFile)("sh", ["-c", line], { cwd: root, env });
}
