import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startTimeOf } from "./processes.ts";

// Which process started the server of a folder. A server whose owner is dead was left behind by a crash and may be
// stopped; a server whose owner lives is somebody's, and nobody else touches it.

type Owner = { pid: number; startTime: string };

const ownerFile = (dir: string): string => join(dir, "owner.json");

/** Makes this process the owner. Returns the function that gives the folder up, once however often it is called. */
export async function recordOwner(dir: string): Promise<() => Promise<void>> {
  const owner: Owner = { pid: process.pid, startTime: (await startTimeOf(process.pid)) ?? "" };
  await writeFile(ownerFile(dir), JSON.stringify(owner));
  let owned = true;
  return async () => {
    if (!owned) return;
    owned = false;
    await rm(ownerFile(dir), { force: true });
  };
}

/** The process that owns this folder and still runs. */
export async function livingOwner(dir: string): Promise<number | undefined> {
  try {
    const owner = JSON.parse(await readFile(ownerFile(dir), "utf8")) as Owner;
    return (await startTimeOf(owner.pid)) === owner.startTime ? owner.pid : undefined;
  } catch {
    return undefined;
  }
}
