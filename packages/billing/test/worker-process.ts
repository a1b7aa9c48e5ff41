// A worker as a process of its own, that kills itself (SIGKILL) at a named point the first time it gets there.
// Arguments: database URL, Redis URL, consumer name, point or "none".
import { closeDb, connectDb } from "@drawdown/db";
import { consume, openBilling } from "../src/index.ts";

const [databaseUrl = "", redisUrl = "", consumer = "", point = "none"] = process.argv.slice(2);
const db = connectDb(databaseUrl);
const billing = await openBilling({
  redisUrl,
  db,
  observe: (seen) => {
    if (seen === point) process.kill(process.pid, "SIGKILL");
  },
});
process.stdout.write("ready\n");
await consume({ billing, consumer, signal: new AbortController().signal, settings: { blockTimeMs: 500 } });
await closeDb(db);
