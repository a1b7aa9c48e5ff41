// A replica that lagged is promoted behind the same address. The address is a small forwarder of ours, as a virtual IP
// would be; the replica's own link goes through another one, which is cut so that the replica misses what comes after.

import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { closeDb, connectDb, type Db } from "@drawdown/db";
import { type TestDatabase, type TestRedis, testDatabase, testRedis, waitFor } from "@drawdown/local-stack";
import { Redis } from "ioredis";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  type AccountRef,
  type Billing,
  charge,
  chargeMany,
  closeBilling,
  consume,
  formatUnits,
  openBilling,
  readBalance,
  readStats,
} from "../src/index.ts";
import { aCharge, createAccount } from "./stage.ts";

type Forwarder = { port: number; target: number; cut(): void; close(): void };

async function forward(target: number): Promise<Forwarder> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((from) => {
    const to = connect(self.target, "127.0.0.1");
    for (const socket of [from, to]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        sockets.delete(socket);
        from.destroy();
        to.destroy();
      });
    }
    from.pipe(to).pipe(from);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no port");
  const self: Forwarder = {
    port: address.port,
    target,
    cut: () => sockets.forEach((socket) => socket.destroy()),
    close: () => {
      server.close();
      self.cut();
    },
  };
  return self;
}

let master: TestRedis;
let replica: TestRedis;
let front: Forwarder;
let link: Forwarder;
let database: TestDatabase;
let db: Db;
let billing: Billing;

beforeEach(async () => {
  [master, replica, database] = await Promise.all([testRedis(), testRedis(), testDatabase()]);
  front = await forward(master.port);
  link = await forward(master.port);
  const admin = new Redis(replica.url);
  await admin.replicaof("127.0.0.1", link.port);
  await waitFor(async () => (await admin.info("replication")).includes("master_link_status:up"), {
    timeoutMs: 10_000,
    what: "the replica in sync",
  });
  admin.disconnect();
  db = connectDb(database.url);
  billing = await openBilling({ redisUrl: `redis://127.0.0.1:${front.port}`, db });
});

afterEach(async () => {
  await closeBilling(billing);
  await closeDb(db);
  front.close();
  link.close();
  await Promise.all([master.stop(), replica.stop(), database.drop()]);
});

async function settleAll(): Promise<void> {
  const stop = new AbortController();
  const worker = consume({ billing, consumer: "worker-1", signal: stop.signal, settings: { blockTimeMs: 200 } });
  await waitFor(
    async () => {
      const { totals } = await readStats(billing);
      return totals.pending === 0 && totals.lag === 0;
    },
    { timeoutMs: 15_000, what: "the streams drained" },
  );
  stop.abort();
  await worker;
}

async function promote(): Promise<void> {
  await master.kill();
  const admin = new Redis(replica.url);
  await admin.replicaof("NO", "ONE");
  admin.disconnect();
  front.target = replica.port;
  front.cut();
}

const inPostgres = async (account: AccountRef) =>
  String(
    (await db.$client.query("SELECT balance FROM data.account_balance WHERE id = $1", [account.id])).rows[0]?.balance,
  );

test("Section 2: a lagging replica promoted: critical alert with the window, accounts that are behind come back from the books, settled ids are not charged again, nobody has more than the books say", async () => {
  const accounts = await Promise.all(Array.from({ length: 12 }, () => createAccount(db, "100", {})));
  await chargeMany(
    billing,
    accounts.map((account) => aCharge(account, 1_000_000_000n)),
  );
  const admin = new Redis(replica.url);
  await waitFor(async () => (await admin.dbsize()) === (await billing.redis.dbsize()), {
    timeoutMs: 5_000,
    what: "the replica caught up",
  });
  admin.disconnect();
  // From here on the replica misses everything.
  link.target = 1;
  link.cut();
  const late = accounts.map((account) => aCharge(account, 2_000_000_000n));
  const answers = await chargeMany(billing, late);
  await settleAll();
  await promote();

  const again = await waitFor(
    async () => {
      const outcomes = await chargeMany(billing, late);
      return outcomes.every((outcome) => outcome.outcome !== "failed") ? outcomes : undefined;
    },
    { timeoutMs: 15_000, what: "answers from the promoted replica" },
  );
  expect(again).toEqual(answers.map((answer) => ({ ...answer, outcome: "repeated" })));
  for (const account of accounts) {
    expect(formatUnits((await readBalance(billing, account))?.balanceNanos ?? -1n)).toBe("97.000000000");
    expect((await charge(billing, aCharge(account, 98_000_000_000n))).outcome).toBe("refused");
    expect((await charge(billing, aCharge(account, 97_000_000_000n))).outcome).toBe("charged");
  }
  const { rows: alerts } = await db.$client.query("SELECT level, details FROM data.alert WHERE kind = 'lost_epoch'");
  expect(alerts.length).toBeGreaterThan(0);
  expect(alerts[0]).toMatchObject({ level: "critical", details: { from: expect.any(String), to: expect.any(String) } });
  await settleAll();
  for (const account of accounts) expect(await inPostgres(account)).toBe("0.000000000");
});

test("Section 2: what was answered and is in neither the replica nor the books is the loss the alert names; nobody is charged for it, and the books stay in order", async () => {
  const account = await createAccount(db, "100", {});
  await charge(billing, aCharge(account, 1_000_000_000n));
  await settleAll();
  const admin = new Redis(replica.url);
  await waitFor(
    async () =>
      (await admin.info("replication")).match(/slave_repl_offset:(\d+)/)?.[1] ===
      (await billing.redis.info("replication")).match(/master_repl_offset:(\d+)/)?.[1],
    { timeoutMs: 5_000, what: "the replica caught up" },
  );
  admin.disconnect();
  link.target = 1;
  link.cut();
  await charge(billing, aCharge(account, 5_000_000_000n));
  await promote();
  await waitFor(async () => (await readBalance(billing, account))?.balanceNanos === 99_000_000_000n, {
    timeoutMs: 15_000,
    what: "the balance of the replica",
  });
  expect((await charge(billing, aCharge(account, 1_000_000_000n))).outcome).toBe("charged");
  await settleAll();
  expect(await inPostgres(account)).toBe("98.000000000");
  const { rows } = await db.$client.query(
    "SELECT account_seq FROM data.account_balance_audit WHERE account_id = $1 ORDER BY account_seq",
    [account.id],
  );
  expect(rows.map((row) => row.account_seq)).toEqual(["1", "2", "3"]);
  expect((await db.$client.query("SELECT 1 FROM data.alert WHERE kind = 'lost_epoch'")).rows).toHaveLength(1);
});
