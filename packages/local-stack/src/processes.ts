import { execFile } from "node:child_process";
import { readFile, readlink } from "node:fs/promises";
import { promisify } from "node:util";
import { waitFor } from "./wait-for.ts";

// What can be asked of processes that are not our children: /proc where there is one, `ps` elsewhere.

const run = promisify(execFile);

/** Sends a signal; a process that is gone is no error. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** A text that another process with the same, reused number would not have; undefined when the process is gone. */
export async function startTimeOf(pid: number): Promise<string | undefined> {
  try {
    if (process.platform !== "linux") return (await run("ps", ["-o", "lstart=", "-p", String(pid)])).stdout.trim();
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // The name in brackets may hold spaces: field 22 is counted from its end.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Whether it still runs; one that ended and that nobody asked about yet (a zombie) does not. */
export async function isAlive(pid: number): Promise<boolean> {
  return (await startTimeOf(pid)) !== undefined;
}

/** Whether the process works in this folder: Postgres and Redis both change into their data folder and stay there. */
export async function worksIn(pid: number, dir: string): Promise<boolean> {
  try {
    if (process.platform === "linux") return (await readlink(`/proc/${pid}/cwd`)) === dir;
    return (await run("ps", ["-o", "command=", "-p", String(pid)])).stdout.includes(dir);
  } catch {
    return false;
  }
}

export type StopStep = { signal: NodeJS.Signals; waitMs: number };

/** Sends one signal after the other until the process is gone. */
export async function stopProcess(pid: number, steps: readonly StopStep[]): Promise<void> {
  for (const { signal, waitMs } of steps) {
    signalProcess(pid, signal);
    try {
      await waitFor(async () => !(await isAlive(pid)), {
        timeoutMs: waitMs,
        what: `process ${pid} to end`,
        intervalMs: 10,
      });
      return;
    } catch {
      // The next, harder signal.
    }
  }
  throw new Error(`Process ${pid} did not end.`);
}
