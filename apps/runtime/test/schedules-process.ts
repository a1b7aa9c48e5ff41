// A process that starts schedules, stops them at a line on its standard input, and then has nothing left to do: it ends when no
// timer and no connection holds it, and not before. What ran is said on standard output.
import { once } from "node:events";
import { closeDb, connectDb } from "@drawdown/db";
import { runJobs } from "../src/jobs/runner.ts";
import { beatCron, enterSchedules, type Schedule, scheduleTasks } from "../src/jobs/schedules.ts";

const [databaseUrl = ""] = process.argv.slice(2);
const say = (line: string) => process.stdout.write(`${line}\n`);
const db = connectDb(databaseUrl);
const closing = new AbortController();
const { signal } = closing;
const cleanup: Schedule = {
  name: "cleanup",
  intervalMs: 3_600_000,
  firstDelayMs: 1_800_000,
  settings: {},
  run: async () => {
    say("ran");
    return {};
  },
};
const ended = runJobs({
  databaseUrl,
  taskList: scheduleTasks(db, [cleanup], signal, (error) => say(String(error))),
  parsedCronItems: beatCron(),
  onStarting: () => enterSchedules(db, [cleanup]),
  onStarted: async () => void say("started"),
  signal,
  log: { debug: () => undefined, warn: () => undefined },
  onError: (error) => say(String(error)),
});
await once(process.stdin, "data");
process.stdin.destroy();
closing.abort();
await ended;
await closeDb(db);
say("stopped");
