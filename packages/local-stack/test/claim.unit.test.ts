import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect, test } from "vitest";
import { claimFolder, FolderInUseError, waitFor } from "../src/index.ts";
import { isAlive } from "../src/processes.ts";

let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "drawdown-claim-"));
});

afterEach(() => rm(dir, { recursive: true }));

async function holder() {
  const child = spawn(process.execPath, [join(import.meta.dirname, "claim-holder.ts"), dir], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  return { child, sleeper: Number(line) };
}

test("a folder has one owner, until it gives the folder up", async () => {
  const claim = await claimFolder(dir);
  await expect(claimFolder(dir)).rejects.toThrow(new FolderInUseError(dir, process.pid));
  await claim.release();
  await claim.release();
  await (await claimFolder(dir)).release();
  expect(await readdir(dir)).toEqual([]);
});

test("of many claims at the same moment one wins, also over the claim of a dead owner", async () => {
  await writeFile(join(dir, "claim.json"), JSON.stringify({ pid: 2 ** 30, startTime: "1" }));
  const claims = await Promise.allSettled(Array.from({ length: 20 }, () => claimFolder(dir)));
  const won = claims.filter((claim) => claim.status === "fulfilled");
  expect(won).toHaveLength(1);
  expect(claims.filter((claim) => claim.status === "rejected").map((claim) => claim.reason.pid)).toEqual(
    Array.from({ length: 19 }, () => process.pid),
  );
  await won[0]?.value.release();
});

test("a living owner keeps the folder; what it started is stopped once it was killed", async () => {
  const { child, sleeper } = await holder();
  await expect(claimFolder(dir)).rejects.toThrow(`in use by process ${child.pid}`);
  expect(await isAlive(sleeper)).toBe(true);
  child.kill("SIGKILL");
  await once(child, "exit");
  const said: string[] = [];
  const claim = await claimFolder(dir, { onProgress: (line) => said.push(line) });
  await waitFor(async () => !(await isAlive(sleeper)), { timeoutMs: 5_000, what: "the sleeper to be gone" });
  await claim.release();
  expect(said).toEqual([`stopping what a crash left behind: sleeper (process ${sleeper})`]);
});

test("a process that got the number of one that is gone is left alone", async () => {
  const bystander = spawn(process.execPath, ["-e", "process.stdin.resume()"], { stdio: ["pipe", "ignore", "ignore"] });
  await once(bystander, "spawn");
  const remembered = [{ name: "gone", pid: bystander.pid, startTime: "1" }];
  await writeFile(join(dir, "processes.json"), JSON.stringify(remembered));
  await (await claimFolder(dir)).release();
  expect(await isAlive(bystander.pid ?? 0)).toBe(true);
  bystander.kill();
});
