// How many cores each process of a stage keeps busy, as /proc tells it: by that, what bends first has a name. Servers and processes of
// ours are children of this process, which is the one that asks.
import { readdirSync, readFileSync } from "node:fs";

/** Cores by what a process is called; several of one name together. */
export type Busy = Readonly<Record<string, number>>;

const TICKS_A_SECOND = 100;
const CALLED: Record<string, string> = {
  "redis-server": "Redis",
  "valkey-server": "Redis",
  postgres: "Postgres",
  upstream: "provider",
};

type Process = { pid: number; parent: number; ticks: number };

/** Seconds of processor time that each has had by now. `asking`: what this process is called. Throws where there is no /proc. */
function spent(asking: string): Map<string, number> {
  const { user, system } = process.cpuUsage();
  const seconds = new Map([[asking, (user + system) / 1e6]]);
  const all = readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? readProcess(name) : []));
  const ticksOf = (pid: number): number =>
    all.filter(({ parent }) => parent === pid).reduce((sum, child) => sum + child.ticks + ticksOf(child.pid), 0);
  for (const { pid, ticks } of all.filter(({ parent }) => parent === process.pid)) {
    const name = nameOf(pid);
    seconds.set(name, (seconds.get(name) ?? 0) + (ticks + ticksOf(pid)) / TICKS_A_SECOND);
  }
  return seconds;
}

/** Ticks of its own, and of children that ended. None of a process that has just ended. */
function readProcess(pid: string): Process[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat
      .slice(stat.lastIndexOf(")") + 2)
      .split(" ")
      .map(Number);
    const [, parent = 0] = fields;
    return [{ pid: Number(pid), parent, ticks: fields.slice(11, 15).reduce((sum, ticks) => sum + ticks, 0) }];
  } catch {
    return [];
  }
}

function nameOf(pid: number): string {
  const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split(/[\0 ]/);
  const ours = words.findIndex((word) => word.endsWith("drawdown.mjs"));
  const name = (ours < 0 ? words[0]?.split("/").at(-1) : words[ours + 1]) ?? "";
  return CALLED[name] ?? name;
}

/** Does the work, and says how many cores each process was busy on meanwhile. */
export async function watched<T>(asking: string, work: () => Promise<T>): Promise<T & { busy: Busy }> {
  const before = spent(asking);
  const startedAt = performance.now();
  const result = await work();
  const seconds = (performance.now() - startedAt) / 1_000;
  const cores = [...spent(asking)].map(([name, now]) => [name, (now - (before.get(name) ?? 0)) / seconds] as const);
  return { ...result, busy: Object.fromEntries(cores) };
}
