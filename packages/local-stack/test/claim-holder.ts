// A process that claims the folder it is given, starts a process there, says its number, and stays until it is killed.
import { spawn } from "node:child_process";
import { claimFolder } from "../src/index.ts";

const dir = process.argv[2];
if (dir === undefined) throw new Error("Which folder?");
const claim = await claimFolder(dir);
const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { detached: true, stdio: "ignore" });
await claim.remember("sleeper", child.pid ?? 0);
process.stdout.write(`${child.pid}\n`);
