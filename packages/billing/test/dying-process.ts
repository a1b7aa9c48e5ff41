// One role as a process of its own, that kills itself (SIGKILL) at a named point the first time it gets there.
// Arguments: database URL, Redis URL, point, role as JSON.
import { closeDb, connectDb } from "@drawdown/db";
import { closeBilling, openBilling } from "../src/index.ts";
import { play, type Role } from "./dying-roles.ts";

const [databaseUrl = "", redisUrl = "", point = "", role = ""] = process.argv.slice(2);
const db = connectDb(databaseUrl);
const billing = await openBilling({
  redisUrl,
  db,
  observe: (seen) => {
    if (seen === point) process.kill(process.pid, "SIGKILL");
  },
});
await play(JSON.parse(role) as Role, billing, databaseUrl, new AbortController().signal);
await closeBilling(billing);
await closeDb(db);
