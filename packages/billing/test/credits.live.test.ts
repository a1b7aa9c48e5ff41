import { waitFor } from "@drawdown/local-stack";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Billing, charge, chargeMany, parseUnits, peekBalance, readBalance } from "../src/index.ts";
import { aCharge, chainProblems, openStage, type Stage } from "./stage.ts";

describe("credits on their way from Postgres to Redis", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await openStage();
  });
  afterAll(() => stage.close());

  const topUpBySql = (id: string) =>
    stage.query("UPDATE data.account_balance SET balance = balance + 100 WHERE id = $1", [id]);
  const listeners = async (n: number) =>
    await waitFor(
      async () =>
        (
          await stage.query(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'drawdown listen'",
          )
        ).length >= n,
      {
        timeoutMs: 5_000,
        what: `${n} listeners`,
      },
    );

  test("a top-up committed in Postgres is in Redis within 1 s", async () => {
    const account = await stage.account("1");
    await readBalance(stage.billing, account);
    const listener = stage.listener();
    await listeners(1);
    await stage.query("SELECT data.post_credit($1, 5, 'top_up', 'first top-up', 'paid', 'tester')", [account.id]);
    const committed = performance.now();
    await waitFor(async () => (await peekBalance(stage.billing, account))?.balanceNanos === 6_000_000_000n, {
      timeoutMs: 1_000,
      what: "6 units in Redis",
    });
    expect(performance.now() - committed).toBeLessThan(1_000);
    await listener.stop();
  });

  test("a freeze that no listener heard is found by the catch-up", async () => {
    const account = await stage.account("1");
    await readBalance(stage.billing, account);
    await stage.query("UPDATE data.account_balance SET status = 'frozen' WHERE id = $1", [account.id]);
    const listener = stage.listener();
    await waitFor(async () => (await peekBalance(stage.billing, account))?.status === "frozen", {
      timeoutMs: 5_000,
      what: "frozen in Redis",
    });
    await listener.stop();
    const refused = await charge(stage.billing, aCharge(account, 1n));
    expect(refused).toMatchObject({ outcome: "refused", reason: "account_frozen", balanceNanos: 1_000_000_000n });
  });

  test.each([
    { title: "one listener", listenersAtOnce: 1, cut: false },
    { title: "the listener's connection killed in the middle", listenersAtOnce: 1, cut: true },
    { title: "three gateways listening", listenersAtOnce: 3, cut: false },
  ])(
    "Section 6: a top-up by plain SQL while 1,000 charges are in flight erases none of them ($title)",
    async ({ listenersAtOnce, cut }) => {
      const account = await stage.account("50");
      const gateways: Billing[] = [];
      for (let i = 0; i < listenersAtOnce; i++) gateways.push(await stage.another());
      const running = gateways.map((billing) => stage.listener({ billing, catchUpMs: 1_000 }));
      const worker = stage.worker();
      await listeners(listenersAtOnce);
      const charges = Array.from({ length: 1_000 }, (_, i) =>
        charge(gateways[i % gateways.length] ?? stage.billing, aCharge(account, 100_000_000n)),
      );
      await topUpBySql(account.id);
      if (cut)
        await stage.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'drawdown listen'",
        );
      await topUpBySql(account.id);
      const outcomes = await Promise.all(charges);
      const charged = outcomes.filter((o) => o.outcome === "charged").length;
      expect(charged).toBeGreaterThanOrEqual(500);
      await waitFor(async () => (await peekBalance(stage.billing, account))?.creditsVersion === 3n, {
        timeoutMs: 10_000,
        what: "both top-ups in Redis",
      });
      await stage.atRest();
      await Promise.all([...running, worker].map((one) => one.stop()));
      const expected = parseUnits("250") - BigInt(charged) * 100_000_000n;
      expect((await readBalance(stage.billing, account))?.balanceNanos).toBe(expected);
      expect(await chainProblems(stage, account)).toEqual([]);
    },
  );

  test("a payload with only the four fields of older senders makes the listener read the row", async () => {
    const account = await stage.account("1");
    await readBalance(stage.billing, account);
    const listener = stage.listener();
    await listeners(1);
    // The trigger's own notification is kept from arriving: the row changes while no trigger fires.
    await stage.query(`BEGIN; SET LOCAL session_replication_role = replica;
      UPDATE data.account_balance SET balance = balance + 2, credits_version = credits_version + 1 WHERE id = '${account.id}';
      INSERT INTO data.account_balance_audit (account_id, account_type, amount, source, audit_category, sync_status, credits_version)
        VALUES ('${account.id}', 'user', 2, 'sql', 'top_up', 'pending', 2); COMMIT`);
    const payload = JSON.stringify({
      account_id: account.ownerId,
      account_type: "user",
      old_balance: "1",
      new_balance: "3",
    });
    await stage.query("SELECT pg_notify('account_balance_updated', $1)", [payload]);
    await waitFor(async () => (await peekBalance(stage.billing, account))?.balanceNanos === 3_000_000_000n, {
      timeoutMs: 1_000,
      what: "3 units in Redis",
    });
    await listener.stop();
  });

  test("Section 2: of what Postgres tells at once a page is kept in mind, and all else is found in the books, so many at once", async () => {
    const rows = await stage.query<{ id: string; owner: string }>(
      `WITH u AS (INSERT INTO data.user_profile (email, name) SELECT n || '@many.test', 'many' FROM generate_series(1, 700) n RETURNING id)
       INSERT INTO data.account_balance (owner_userid, currency, balance) SELECT id, 'USD', 1 FROM u RETURNING id, owner_userid AS owner`,
    );
    const accounts = rows.map(({ id, owner }) => ({ id, ownerId: owner, type: "user" as const, currency: "USD" }));
    const loaded = accounts.filter((_, i) => i % 35 === 34);
    let [passes, found, atOnce, most] = [0, 0, 0, 0];
    const billing = await stage.another({
      observe: (point, detail) => {
        if (point === "credit.listening") passes = 0;
        if (point === "credit.caught_up") [passes, found] = [passes + 1, found + Number(detail?.["applied"])];
        if (point !== "credit.read") return;
        if (atOnce === 0) setImmediate(() => (atOnce = 0));
        most = Math.max(most, ++atOnce);
      },
    });
    await Promise.all(loaded.map((account) => readBalance(billing, account)));
    const listener = stage.listener({ billing, catchUpMs: 3_600_000 });
    await listeners(1);
    await waitFor(() => passes > 0, { timeoutMs: 10_000, what: "the first catch-up" });
    // The listener's first question waits for this lock, so that all it is told comes while it asks.
    const [locking, hearing] = [await stage.db.$client.connect(), await stage.db.$client.connect()];
    let heard = 0;
    hearing.on("notification", () => (heard += 1));
    await hearing.query("LISTEN account_balance_updated");
    await locking.query("BEGIN; LOCK TABLE data.account_balance");
    await stage.query(
      "SELECT pg_notify('account_balance_updated', json_build_object('account_id', gen_random_uuid())::text) FROM generate_series(1, 10000)",
    );
    const waiting = "SELECT 1 FROM pg_locks WHERE relation = 'data.account_balance'::regclass AND NOT granted";
    await waitFor(async () => heard === 10_000 && (await stage.query(waiting)).length > 0, {
      timeoutMs: 10_000,
      what: "all to be told while the listener asks",
    });
    await locking.query(`UPDATE data.account_balance a SET balance = balance + 1 FROM data.user_profile u
      WHERE u.id = a.owner_userid AND u.name = 'many'; COMMIT`);
    for (const client of [locking, hearing]) client.release(true);
    for (const account of loaded)
      await waitFor(async () => (await peekBalance(billing, account))?.balanceNanos === 2_000_000_000n, {
        timeoutMs: 10_000,
        what: "the credit in Redis",
      });
    await waitFor(() => found === loaded.length, {
      timeoutMs: 10_000,
      what: "the end of the catch-up that found them",
    });
    expect(most).toBeLessThanOrEqual(100);
    await listener.stop();
  });

  test("Section 2: a lower credits version than Redis has is a critical alert and applies nothing", async () => {
    const account = await stage.account("7");
    await readBalance(stage.billing, account);
    await stage.query("SELECT data.post_credit($1, 1, 'top_up', 'went back', 'paid', 'tester')", [account.id]);
    const listener = stage.listener();
    await waitFor(async () => (await peekBalance(stage.billing, account))?.creditsVersion === 2n, {
      timeoutMs: 5_000,
      what: "version 2 in Redis",
    });
    await stage.query(`BEGIN; SET LOCAL session_replication_role = replica;
      UPDATE data.account_balance SET balance = 7, credits_version = 1 WHERE id = '${account.id}'; COMMIT`);
    await stage.query("SELECT pg_notify('account_balance_updated', $1)", [
      JSON.stringify({ account_id: account.ownerId }),
    ]);
    const alert = await waitFor(
      async () =>
        (
          await stage.query("SELECT level, kind FROM data.alert WHERE kind = 'postgres_went_back' AND key = $1", [
            account.id,
          ])
        )[0],
      {
        timeoutMs: 5_000,
        what: "an alert",
      },
    );
    expect(alert).toEqual({ level: "critical", kind: "postgres_went_back" });
    expect((await peekBalance(stage.billing, account))?.balanceNanos).toBe(8_000_000_000n);
    await listener.stop();
  });

  test("Rule 2: the next credit pays first what was overdrawn, and chargeMany answers in order with one bad item alone", async () => {
    const account = await stage.account("1");
    const outcomes = await chargeMany(stage.billing, [
      aCharge(account, 500_000_000n),
      aCharge(account, -1n),
      aCharge(account, 2_000_000_000n, { delivered: true }),
      aCharge(account, 0n),
    ]);
    expect(outcomes.map((o) => o.outcome)).toEqual(["charged", "failed", "charged", "refused"]);
    expect((await readBalance(stage.billing, account))?.overdueNanos).toBe(1_500_000_000n);
    const listener = stage.listener();
    await stage.query("SELECT data.post_credit($1, 2, 'top_up', 'pays overdue', 'paid', 'tester')", [account.id]);
    await waitFor(async () => (await peekBalance(stage.billing, account))?.balanceNanos === 500_000_000n, {
      timeoutMs: 5_000,
      what: "0.5 left",
    });
    expect((await charge(stage.billing, aCharge(account, 500_000_000n))).outcome).toBe("charged");
    await listener.stop();
  });

  test("Section 2: a credit that Postgres tells of does not wait for a catch-up that has much to read", async () => {
    const [row] = await stage.query<{ id: string; owner: string }>(
      `WITH many AS (INSERT INTO data.user_profile (email, name) SELECT n || '@idle.test', 'idle' FROM generate_series(1, 8000) n RETURNING id),
            opened AS (INSERT INTO data.account_balance (owner_userid, currency, balance) SELECT id, 'USD', 1 FROM many),
            one AS (INSERT INTO data.user_profile (email, name) VALUES ('one@busy.test', 'busy') RETURNING id)
       INSERT INTO data.account_balance (id, owner_userid, currency, balance)
       SELECT 'ffffffff-ffff-4fff-bfff-ffffffffffff', id, 'USD', 1 FROM one RETURNING id, owner_userid AS owner`,
    );
    if (row === undefined) throw new Error("no account");
    const account = { id: row.id, ownerId: row.owner, type: "user" as const, currency: "USD" };
    // The account is the last that a catch-up comes to. In the middle of one it gets its credit.
    let [listening, passed, read, readBefore] = [false, false, 0, 0];
    const credited = Promise.withResolvers<unknown>();
    // Meanwhile the catch-up reads nothing: it would be over before a slow disk has the credit.
    const credit = () =>
      stage.query(
        `BEGIN; LOCK TABLE data.account_balance; SELECT data.post_credit('${row.id}', 5, 'top_up', 'urgent', 'paid', 'tester'); COMMIT`,
      );
    const billing = await stage.another({
      observe: (point, detail) => {
        if (point === "credit.listening") listening = true;
        if (point === "credit.caught_up") passed = true;
        if (point === "credit.read" && listening && passed && read++ === 0) credited.resolve(credit());
        if (point === "credit.applied" && detail?.["version"] === 2n && detail["account"] === row.id) readBefore = read;
      },
    });
    await readBalance(billing, account);
    const listener = stage.listener({ billing, catchUpMs: 3_600_000 });
    await credited.promise;
    await waitFor(() => readBefore > 0, { timeoutMs: 10_000, what: "the credit in Redis" });
    expect(readBefore).toBeLessThan(6_000);
    await listener.stop();
  });
});
