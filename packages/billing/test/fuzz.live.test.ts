import { createHash } from "node:crypto";
import { waitFor } from "@drawdown/local-stack";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type AccountRef, chargeMany, encodeRaw, shardOf, streamKey } from "../src/index.ts";
import { type BadEntry, badEntry, type Fields, goodEntry, sameIdOtherCost } from "./fuzz-entries.ts";
import { randomOf } from "./simulation-faults.ts";
import { aCharge, chainProblems, openStage, type Stage } from "./stage.ts";

const EACH = Number(process.env.FUZZ_ENTRIES ?? 20_000);
const SEED = Number(process.env.FUZZ_SEED ?? 1);
const STEP = 200;
const settled = "SELECT count(*)::int AS n FROM data.usage_log WHERE settled_at IS NOT NULL";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage({ appendfsync: "everysec" });
});
afterEach(() => stage.close());

const bytesOf = (fields: Fields) => fields.flat().map((part) => (typeof part === "string" ? Buffer.from(part) : part));

/** Appends entries as bytes; returns their ids, in order. */
async function append(entries: readonly { account: AccountRef; fields: Fields }[]): Promise<string[]> {
  const pipeline = stage.billing.redis.pipeline();
  for (const { account, fields } of entries) pipeline.xadd(streamKey(shardOf(account.id, 16)), "*", ...bytesOf(fields));
  const replies = (await pipeline.exec()) ?? [];
  return replies.map(([error, id]) => {
    if (error) throw error;
    return String(id);
  });
}

test(`Rule 4: ${EACH} malformed entries among ${EACH} good ones: the good ones settle, each malformed one is a dead letter with its bytes and reason, nothing is pending, and the worker goes on (seed ${SEED})`, {
  timeout: 600_000,
}, async () => {
  const random = randomOf(SEED);
  const accounts = await Promise.all(Array.from({ length: 20 }, () => stage.account("100000")));
  const listener = stage.listener();
  const worker = stage.worker({ settings: { retryDelayMs: 10 } });
  const bad = new Map<string, { entry: BadEntry; hash: string }>();
  const spent = new Map(accounts.map((account) => [account.id, 0n]));
  for (let n = 0; n < EACH; n += STEP) {
    const entries: { account: AccountRef; fields: Fields; bad?: BadEntry }[] = [];
    const charges = [];
    for (let i = n; i < n + STEP; i++) {
      const account = accounts[Math.floor(random() * accounts.length)] as AccountRef;
      const good = goodEntry(account, `ded_fuzz_${i}`, random);
      if (i % 2 === 0) charges.push(aCharge(account, good.costNanos));
      else {
        entries.push({ account, fields: good.fields });
        // Delivered once more as it is, now and then: settled once.
        if (i % 41 === 0) entries.push({ account, fields: good.fields });
      }
      spent.set(account.id, (spent.get(account.id) ?? 0n) + good.costNanos);
      const repeated = i % 2 === 1 && i % 20 === 1;
      const spoiled = repeated ? sameIdOtherCost(good) : badEntry(account, `ded_bad_${i}`, random);
      entries.splice(repeated ? entries.length : Math.floor(random() * (entries.length + 1)), 0, {
        account,
        fields: spoiled.fields,
        bad: spoiled,
      });
    }
    const outcomes = await chargeMany(stage.billing, charges);
    expect(outcomes.filter(({ outcome }) => outcome !== "charged")).toEqual([]);
    (await append(entries)).forEach((id, i) => {
      const { account, fields, bad: entry } = entries[i] ?? {};
      if (!account || !fields || !entry) return;
      const hash = createHash("sha256")
        .update(encodeRaw(bytesOf(fields)))
        .digest("hex");
      bad.set(`${streamKey(shardOf(account.id, 16))}/${id}`, { entry, hash });
    });
  }
  const numberOf = async (sql: string) => (await stage.query<{ n: number }>(sql))[0]?.n;
  await waitFor(async () => (await numberOf("SELECT count(*)::int AS n FROM data.dead_letter")) === EACH, {
    timeoutMs: 300_000,
    what: "all malformed entries kept",
  });
  await stage.atRest();

  expect(await numberOf(settled)).toBe(EACH);
  const letters = await stage.query<{
    place: string;
    hash: string;
    error_class: string;
    attempts: number;
    state: string;
  }>(
    `SELECT stream_key || '/' || stream_entry_id AS place, encode(sha256(raw), 'hex') AS hash, error_class, attempts, state FROM data.dead_letter`,
  );
  expect(letters).toHaveLength(EACH);
  const wrong: unknown[] = [];
  const kinds = new Map<string, number>();
  for (const letter of letters) {
    const expected = bad.get(letter.place);
    const { kind = "", errorClass = "", database = false } = expected?.entry ?? {};
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    const known =
      typeof errorClass === "string" ? errorClass === letter.error_class : errorClass.test(letter.error_class);
    const attempts = database ? 3 : 1;
    if (expected?.hash !== letter.hash || !known || letter.attempts !== attempts || letter.state !== "open")
      wrong.push({ kind, ...letter });
  }
  expect(wrong).toEqual([]);
  console.log([...kinds].map(([kind, count]) => `${kind}: ${count}`).join("\n"));
  expect([...kinds.values()].every((count) => count > 0)).toBe(true);
  expect(await stage.query("SELECT kind FROM data.alert")).toEqual([]);

  const books = await stage.query<{ id: string; spent: string }>(
    "SELECT id, (100000 - balance)::text AS spent FROM data.account_balance",
  );
  for (const { id, spent: booked } of books) expect(BigInt(booked.replace(".", "")), id).toBe(spent.get(id));
  for (const account of accounts) expect(await chainProblems(stage, account)).toEqual([]);

  // Still up: what comes now is settled too.
  await chargeMany(stage.billing, [aCharge(accounts[0] as AccountRef, 1n)]);
  await stage.atRest();
  await Promise.all([worker.stop(), listener.stop()]);
  expect(await numberOf(settled)).toBe(EACH + 1);
});

test("Rule 4: poison that stays below a tenth of each batch never stops its shard, however much of it is tried again at once", {
  timeout: 180_000,
}, async () => {
  const account = await stage.account("1000");
  const random = randomOf(SEED);
  const entries = Array.from({ length: 4_000 }, (_, i) => {
    const { fields } = goodEntry(account, `ded_${i}`, random);
    const unknown: Fields = [...fields, ["account_id", "00000000-0000-4000-8000-000000000000"]];
    return { account, fields: i % 20 === 0 ? unknown : fields };
  });
  await append(entries);
  const worker = stage.worker({ settings: { retryDelayMs: 3_000 } });
  const key = streamKey(shardOf(account.id, 16));
  const oneTry = async () => Number((await stage.billing.redis.xpending(key, "billing_workers"))[0]) === 200;
  await waitFor(async () => (await oneTry()) && (await stage.query("SELECT 1 FROM data.usage_log")).length === 3_800, {
    timeoutMs: 20_000,
    what: "the good ones settled",
  });
  // Postgres answers nothing for a while: all that failed is due at the same moment.
  const blocker = await stage.db.$client.connect();
  await blocker.query("BEGIN; LOCK TABLE data.account_balance IN ACCESS EXCLUSIVE MODE");
  const dueMs = Date.now() + 4_000;
  await waitFor(() => Date.now() > dueMs, { timeoutMs: 5_000, what: "the second attempts due" });
  await blocker.query("COMMIT");
  blocker.release();
  await stage.drained();
  await worker.stop();
  expect(await stage.query("SELECT count(*)::int AS n FROM data.dead_letter WHERE attempts = 3")).toEqual([{ n: 200 }]);
  expect(await stage.query("SELECT kind, message FROM data.alert")).toEqual([]);
});
