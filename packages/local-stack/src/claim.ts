import { mkdir, readFile, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type StopStep, startTimeOf, stopProcess } from "./processes.ts";
import { waitFor } from "./wait-for.ts";

// Who runs a folder's processes: one living process at a time. Beside the claim stands which processes were started;
// those that a killed owner left behind are stopped by the next one. A folder that only one process at a time can make
// guards the moment in which a claim is read and replaced.

export type Claim = {
  /** Writes down a process that was started here, for the next owner in case this one is killed. */
  remember(name: string, pid: number): Promise<void>;
  /** Gives the folder up; harmless twice. */
  release(): Promise<void>;
};

export type ClaimOptions = { onProgress?: (line: string) => void };

type Identity = { pid: number; startTime: string };
type Remembered = Identity & { name: string };

const STOP_STEPS: readonly StopStep[] = [
  { signal: "SIGTERM", waitMs: 10_000 },
  { signal: "SIGKILL", waitMs: 5_000 },
];

const GUARD_MS = 5_000;

/** Another process, which lives, has claimed the folder. */
export class FolderInUseError extends Error {
  readonly pid: number;

  constructor(dir: string, pid: number) {
    super(`${dir} is in use by process ${pid}.`);
    this.name = "FolderInUseError";
    this.pid = pid;
  }
}

/**
 * Claims a folder, made when missing, for this process, and stops what a dead owner left running. Throws
 * FolderInUseError when its owner lives.
 */
export async function claimFolder(dir: string, options: ClaimOptions = {}): Promise<Claim> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const file = join(dir, "claim.json");
  const processesFile = join(dir, "processes.json");
  await takeOver(dir, file);

  for (const left of await readProcesses(processesFile)) {
    if ((await startTimeOf(left.pid)) !== left.startTime) continue;
    options.onProgress?.(`stopping what a crash left behind: ${left.name} (process ${left.pid})`);
    await stopProcess(left.pid, STOP_STEPS);
  }
  const remembered: Remembered[] = [];
  await writeFile(processesFile, "[]");
  let claimed = true;
  return {
    remember: async (name, pid) => {
      remembered.push({ name, pid, startTime: (await startTimeOf(pid)) ?? "" });
      await writeFile(processesFile, JSON.stringify(remembered));
    },
    release: async () => {
      if (!claimed) return;
      claimed = false;
      await rm(processesFile, { force: true });
      await rm(file, { force: true });
    },
  };
}

async function takeOver(dir: string, file: string): Promise<void> {
  const guard = join(dir, "claiming");
  await waitFor(() => makeGuard(guard), { timeoutMs: 2 * GUARD_MS, what: `the right to claim ${dir}` });
  try {
    const owner = parse(await readFile(file, "utf8").catch(() => "")) as Identity | undefined;
    if (owner !== undefined && (await startTimeOf(owner.pid)) === owner.startTime) {
      throw new FolderInUseError(dir, owner.pid);
    }
    const self: Identity = { pid: process.pid, startTime: (await startTimeOf(process.pid)) ?? "" };
    await writeFile(file, JSON.stringify(self));
  } finally {
    await rmdir(guard);
  }
}

async function makeGuard(guard: string): Promise<boolean> {
  try {
    await mkdir(guard);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    const made = await stat(guard).catch(() => undefined);
    // It is held for milliseconds: an old one belongs to a process that was killed in them.
    if (made !== undefined && Date.now() - made.mtimeMs > GUARD_MS) await rmdir(guard).catch(() => {});
    return false;
  }
}

async function readProcesses(file: string): Promise<Remembered[]> {
  return (parse(await readFile(file, "utf8").catch(() => "")) as Remembered[] | undefined) ?? [];
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
