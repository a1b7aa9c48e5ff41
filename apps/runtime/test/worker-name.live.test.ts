import { type TestDatabase, testDatabase, waitFor } from "@drawdown/local-stack";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { takeName, type WorkerName } from "../src/worker/name.ts";

let database: TestDatabase;
let admin: pg.Client;
beforeAll(async () => {
  database = await testDatabase();
  admin = new pg.Client({ connectionString: database.url });
  await admin.connect();
});
afterAll(async () => {
  await admin.end();
  await database.drop();
});

// A connection that its client has ended may still be there for a moment.
beforeEach(() => waitFor(async () => (await connected()) === 0, { timeoutMs: 20_000, what: "no name to be held" }));

const host = "host";
const take = (onLost: () => void = () => undefined): Promise<WorkerName> => takeName(database.url, onLost, host);
/** Breaks the connections that hold names, and says how many there were. */
const cut = (): Promise<number | null> => cutBy(admin);
const cutBy = async (client: pg.Client): Promise<number | null> => {
  const sql =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'drawdown worker name' AND datname = current_database()";
  return (await client.query(sql)).rowCount;
};
const connected = async (): Promise<number | null> => {
  const sql =
    "SELECT FROM pg_stat_activity WHERE application_name = 'drawdown worker name' AND datname = current_database()";
  return (await admin.query(sql)).rowCount;
};
/** The backends that hold a name. */
const holders = async (): Promise<number[]> => {
  const { rows } = await admin.query<{ pid: number }>(
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
  );
  return rows.map(({ pid }) => pid);
};

describe("a worker's name", () => {
  it("is its own among those that live, and the same again after a restart", async () => {
    const [first, second] = [await take(), await take()];
    expect([first.name, second.name]).toEqual(["host-1", "host-2"]);
    await first.release();
    await first.release();
    const again = await take();
    expect(again.name).toBe("host-1");
    await Promise.all([again.release(), second.release()]);
  });

  it("survives a broken connection", async () => {
    let lost = false;
    const name = await take(() => {
      lost = true;
    });
    const [before] = await holders();
    expect(await cut()).toBe(1);
    const takenAgain = async () => (await holders()).some((pid) => pid !== before);
    await waitFor(takenAgain, { timeoutMs: 10_000, what: "the name to be taken again" });
    const second = await take();
    expect([second.name, lost]).toEqual(["host-2", false]);
    await Promise.all([name.release(), second.release()]);
  });

  it("is given up when another got it while the connection was broken", async () => {
    const lost = Promise.withResolvers<void>();
    await take(lost.resolve);
    // Another worker's lock, taken as soon as ours falls.
    const sql = "SELECT pg_advisory_lock(hashtext('drawdown worker host'), 1)";
    const taking = admin.query(sql);
    const other = new pg.Client({ connectionString: database.url });
    await other.connect();
    await cutBy(other);
    await taking;
    await expect(lost.promise).resolves.toBeUndefined();
    await other.end();
  });
});
