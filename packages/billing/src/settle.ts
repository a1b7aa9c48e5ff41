// Settling: one transaction writes usage_log and account_balance_audit and moves account_balance, for a batch of entries of
// any shards. The accounts are locked first, sorted, so that workers never deadlock; `settled_at IS NULL` is the guard that
// lets a redelivered deduction through only once.
import type { Billing } from "./billing.ts";
import { streamKey } from "./keys.ts";
import { writeInEpoch } from "./late.ts";
import { formatUnits, parseUnits } from "./money.ts";
import { arrayParameter, constraintOf, isDataError, isTransient, type Query, sqlState } from "./postgres.ts";
import { type Closed, isTooOld, tooOldMessage } from "./retention.ts";
import type { Entry, LinkEntry, UsageEntry } from "./stream.ts";

/** What became of one entry. `poison` fails alone with a data error; `database`: Postgres said so, not we. */
export type SettleOutcome =
  | { outcome: "settled" | "already" }
  | { outcome: "poison"; errorClass: string; message: string; database: boolean };

const MAX_TRANSIENT = 10;

type LockedAccount = Closed & { currency: string };

/**
 * Settles entries and returns one outcome each, in order. A batch that fails with a data error is split until the entry at
 * fault fails alone. Throws `postgres_unavailable` when nothing can be said: then nothing of the current part was committed,
 * and the same call may be made again.
 */
export async function settle(billing: Billing, entries: readonly Entry[], consumer: string): Promise<SettleOutcome[]> {
  const outcomes = new Map<Entry, SettleOutcome>();
  // One statement may touch a deduction id once: a second entry with the same id takes a transaction of its own.
  for (let rest = [...entries]; rest.length > 0; ) {
    const [first, repeated] = splitRepeatedIds(rest);
    await settlePart(billing, first, consumer, outcomes);
    rest = repeated;
  }
  return entries.map((entry) => {
    const outcome = outcomes.get(entry);
    if (!outcome) throw new TypeError(`entry ${entry.entryId} was settled without an outcome`);
    return outcome;
  });
}

function splitRepeatedIds(entries: readonly Entry[]): [Entry[], Entry[]] {
  const seen = new Set<string>();
  const first: Entry[] = [];
  const repeated: Entry[] = [];
  for (const entry of entries) {
    if (entry.kind !== "usage") first.push(entry);
    else if (seen.has(entry.deductionId)) repeated.push(entry);
    else {
      seen.add(entry.deductionId);
      first.push(entry);
    }
  }
  return [first, repeated];
}

async function settlePart(
  billing: Billing,
  entries: Entry[],
  consumer: string,
  outcomes: Map<Entry, SettleOutcome>,
): Promise<void> {
  try {
    await settleOnce(billing, entries, consumer, outcomes);
  } catch (error) {
    if (!isDataError(error)) throw error;
    const [only] = entries;
    if (entries.length === 1 && only) {
      const message = error instanceof Error ? error.message : String(error);
      outcomes.set(only, { outcome: "poison", errorClass: sqlState(error) ?? "unknown", message, database: true });
      return;
    }
    const middle = Math.ceil(entries.length / 2);
    await settlePart(billing, entries.slice(0, middle), consumer, outcomes);
    await settlePart(billing, entries.slice(middle), consumer, outcomes);
  }
}

/** What was noted by an attempt that failed is noted anew by the one that does not. */
async function settleOnce(
  billing: Billing,
  entries: Entry[],
  consumer: string,
  outcomes: Map<Entry, SettleOutcome>,
): Promise<void> {
  // What an older producer drew (no seq) reaches Redis as a credit of the books, whenever that is.
  const accountOf = ({ accountSeq, accountId }: Entry) => (accountSeq === null ? null : accountId);
  let statement = entries.every(({ deliveryCount }) => deliveryCount === 1) ? newStatement : knownStatement;
  for (let attempt = 1; ; attempt++) {
    try {
      return await writeInEpoch(
        billing,
        { entries, accountOf },
        (query) => write(billing, query, entries, { consumer, statement }, outcomes),
        () => billing.observe("settle.committed", { entries: entries.length }),
      );
    } catch (error) {
      const known = idConstraints.has(constraintOf(error) ?? "") && statement === newStatement;
      if (known) statement = knownStatement;
      else if (!isTransient(error) || attempt === MAX_TRANSIENT) throw error;
    }
  }
}

type Writing = { consumer: string; statement: typeof newStatement };

async function write(
  billing: Billing,
  query: Query,
  entries: Entry[],
  by: Writing,
  outcomes: Map<Entry, SettleOutcome>,
): Promise<void> {
  const accounts = await lockAccounts(query, entries);
  const usage: UsageEntry[] = [];
  const links: LinkEntry[] = [];
  for (const entry of entries) {
    const account = accounts.get(entry.accountId);
    if (account === undefined)
      outcomes.set(entry, poison("unknown_account", `there is no account ${entry.accountId}`, true));
    else if (entry.kind !== "usage") links.push(entry);
    else if (isTooOld(entry, account)) outcomes.set(entry, poison("too_old", tooOldMessage(entry, account), false));
    else if (sameCurrency(entry.currency, account.currency)) usage.push(entry);
    else
      outcomes.set(
        entry,
        poison("currency_mismatch", `a charge in ${entry.currency} on an account in ${account.currency}`, false),
      );
  }
  if (usage.length > 0) await writeUsage(query, usage, by, outcomes);
  if (links.length > 0) await writeLinks(query, links, outcomes);
  billing.observe("settle.written", { entries: entries.length });
}

function sameCurrency(one: string, other: string): boolean {
  return one === other || one.toUpperCase() === other.toUpperCase();
}

function poison(errorClass: string, message: string, database: boolean): SettleOutcome {
  return { outcome: "poison", errorClass, message, database };
}

const lockStatement = {
  name: "settle_lock",
  text: `SELECT id, currency, closed_seq AS "closedSeq", closed_before AS "closedBefore" FROM data.account_balance
    WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE`,
};

/** Locks every account of the batch in the order of its id, and returns those that exist. */
async function lockAccounts(query: Query, entries: readonly Entry[]): Promise<Map<string, LockedAccount>> {
  // What an older producer drew lowers the balance but is no debit of ours: the trigger records it as a credit of this source.
  if (entries.some((entry) => entry.kind === "usage" && entry.accountSeq === null))
    await query(
      "SELECT set_config('drawdown.source', 'older_producer', true), set_config('drawdown.category', 'adjustment', true)",
    );
  const ids = [...new Set(entries.map((entry) => entry.accountId))];
  const rows = await query<LockedAccount & { id: string }>(lockStatement, [arrayParameter(ids)]);
  return new Map(rows.map((row) => [row.id, row]));
}

/**
 * One statement: the rows, their audit rows, the balances. Own deductions raise total_debits as they lower the balance; older
 * producers' only lower it. A dead letter of a deduction that settles, by whatever way, is closed.
 * What an operator wrote off is left out, whoever has its entry in hand: the repair closed its letter under the same lock of the account.
 * Answers the ids that it wrote, or null when that is all of them.
 */
const usageText = (onKnown: { usage: string; audit: string }) => `
WITH entry AS (
  SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::numeric[], $8::text[],
      $9::timestamptz[], $10::bigint[], $11::bigint[], $12::bigint[], $13::jsonb[], $14::numeric[], $15::numeric[],
      $16::bigint[], $17::text[], $18::text[], $19::text[], $20::text[], $21::int[], $22::text[])
    AS e(deduction_id, account_id, account_type, virtual_key, provider, model, cost, currency, created_at, input_tokens,
      output_tokens, total_tokens, metadata_json, balance_before, balance_after, account_seq, request_id, usage_source,
      stream_key, stream_entry_id, delivery_count, balance_check)
), logged AS (
  INSERT INTO data.usage_log AS u (deduction_id, account_id, account_type, virtual_key, provider, model, cost, currency, created_at,
      input_tokens, output_tokens, total_tokens, metadata_json, sync_status, balance_before, balance_after, account_seq,
      request_id, usage_source, stream_key, stream_entry_id, delivery_count, balance_check, consumer, settled_at)
  SELECT deduction_id, account_id, account_type, virtual_key, provider, model, cost, currency, created_at, input_tokens,
      output_tokens, total_tokens, metadata_json, 'completed', balance_before, balance_after, account_seq, request_id,
      usage_source, stream_key, stream_entry_id, delivery_count, balance_check, $23, now()
    FROM entry e
   WHERE NOT EXISTS (SELECT FROM data.dead_letter d WHERE d.deduction_id = e.deduction_id AND d.account_id = e.account_id::text
     AND d.cost = e.cost AND d.account_seq = e.account_seq AND d.state = 'replayed' AND d.history @> '[{"act": "written_off"}]')
   ORDER BY deduction_id
  ${onKnown.usage}
  RETURNING id, deduction_id, account_id, account_type, cost, created_at, balance_before, balance_after, account_seq, stream_key, stream_entry_id
), audited AS (
  INSERT INTO data.account_balance_audit AS a (deduction_id, account_id, account_type, amount, source, audit_category, usage_log_id,
      created_at, sync_status, balance_before, balance_after, account_seq, stream_key, stream_entry_id)
  SELECT deduction_id, account_id, account_type, -cost, 'api_gateway', 'usage', id, created_at, 'completed', balance_before,
      balance_after, account_seq, stream_key, stream_entry_id
    FROM logged ORDER BY deduction_id
  ${onKnown.audit}
), moved AS (
  UPDATE data.account_balance b SET balance = b.balance - s.total, total_debits = b.total_debits + s.own
    FROM (SELECT account_id, sum(cost) AS total, coalesce(sum(cost) FILTER (WHERE account_seq IS NOT NULL), 0) AS own
            FROM logged GROUP BY account_id) s
   WHERE b.id = s.account_id
), closed AS (
  UPDATE data.dead_letter d SET state = 'replayed'
    FROM logged l
   WHERE d.deduction_id = l.deduction_id AND d.state <> 'replayed' AND d.account_id = l.account_id::text AND d.cost = l.cost
     AND d.account_seq IS NOT DISTINCT FROM l.account_seq
)
SELECT CASE WHEN count(*) < cardinality($1::text[]) THEN coalesce(array_agg(deduction_id), '{}') END AS written FROM logged`;

/** For what was never delivered before: an id that is there all the same fails the statement. An eighth cheaper than looking each up. */
const newStatement = { name: "settle_new", text: usageText({ usage: "", audit: "" }) };

const idConstraints = new Set(["usage_log_deduction_id_key", "account_balance_audit_deduction_id_key"]);

/** A row that is there is left as it is, or when an older worker wrote it (settled_at null) completed, if account, cost and seq are the same. */
const knownStatement = {
  name: "settle_known",
  text: usageText({
    usage: `ON CONFLICT (deduction_id) DO UPDATE SET settled_at = now(), sync_status = 'completed', balance_before = EXCLUDED.balance_before,
      balance_after = EXCLUDED.balance_after, account_seq = EXCLUDED.account_seq, request_id = EXCLUDED.request_id,
      usage_source = EXCLUDED.usage_source, stream_key = EXCLUDED.stream_key, stream_entry_id = EXCLUDED.stream_entry_id,
      delivery_count = EXCLUDED.delivery_count, balance_check = EXCLUDED.balance_check, consumer = EXCLUDED.consumer,
      total_tokens = EXCLUDED.total_tokens
    WHERE u.settled_at IS NULL AND u.account_id = EXCLUDED.account_id AND u.cost = EXCLUDED.cost
      AND (u.account_seq IS NULL OR u.account_seq = EXCLUDED.account_seq)`,
    audit: `ON CONFLICT (deduction_id) DO UPDATE SET usage_log_id = EXCLUDED.usage_log_id, amount = EXCLUDED.amount,
      sync_status = 'completed', balance_before = EXCLUDED.balance_before, balance_after = EXCLUDED.balance_after,
      account_seq = EXCLUDED.account_seq, stream_key = EXCLUDED.stream_key, stream_entry_id = EXCLUDED.stream_entry_id`,
  }),
};

async function writeUsage(
  query: Query,
  entries: UsageEntry[],
  { consumer, statement }: Writing,
  outcomes: Map<Entry, SettleOutcome>,
): Promise<void> {
  const column = (read: (entry: UsageEntry) => string | number | null) => arrayParameter(entries.map(read));
  const amount = (nanos: bigint | null) => (nanos === null ? null : formatUnits(nanos));
  const [answer] = await query<{ written: string[] | null }>(statement, [
    column((e) => e.deductionId),
    column((e) => e.accountId),
    column((e) => e.accountType),
    column((e) => e.virtualKey),
    column((e) => e.provider),
    column((e) => e.model),
    column((e) => formatUnits(e.costNanos)),
    column((e) => e.currency),
    column((e) => e.timestamp),
    column((e) => e.inputTokens),
    column((e) => e.outputTokens),
    column((e) => e.totalTokens),
    column((e) => e.metadata),
    column((e) => amount(e.balanceBeforeNanos)),
    column((e) => amount(e.balanceAfterNanos)),
    column((e) => e.accountSeq?.toString() ?? null),
    column((e) => e.requestId),
    column((e) => e.usageSource),
    column((e) => streamKey(e.shard)),
    column((e) => e.entryId),
    column((e) => e.deliveryCount),
    column((e) => e.balanceCheck),
    consumer,
  ]);
  const written = answer?.written ? new Set(answer.written) : undefined;
  const others = written ? entries.filter((entry) => !written.has(entry.deductionId)) : [];
  const settled = { outcome: "settled" } as const;
  for (const entry of entries) if (written?.has(entry.deductionId) ?? true) outcomes.set(entry, settled);
  if (others.length > 0) await explainUnwritten(query, others, outcomes);
}

/** An id that is there already is the same deduction delivered again, or another under the same id; one that is not was written off. */
async function explainUnwritten(
  query: Query,
  entries: UsageEntry[],
  outcomes: Map<Entry, SettleOutcome>,
): Promise<void> {
  type Found = { deduction_id: string; account_id: string; cost: string; account_seq: string | null; settled: boolean };
  const rows = await query<Found>(
    "SELECT deduction_id, account_id, cost, account_seq, settled_at IS NOT NULL AS settled FROM data.usage_log WHERE deduction_id = ANY($1)",
    [entries.map((entry) => entry.deductionId)],
  );
  const found = new Map(rows.map((row) => [row.deduction_id, row]));
  for (const entry of entries) {
    const row = found.get(entry.deductionId);
    const same =
      row?.settled === true &&
      row.account_id === entry.accountId &&
      parseUnits(row.cost) === entry.costNanos &&
      row.account_seq === (entry.accountSeq?.toString() ?? null);
    const difference = `usage_log has ${entry.deductionId} with account ${row?.account_id}, cost ${row?.cost}, seq ${row?.account_seq}`;
    if (same) outcomes.set(entry, { outcome: "already" });
    else if (row) outcomes.set(entry, poison("duplicate_id", difference, false));
    else
      outcomes.set(entry, poison("written_off", `${entry.deductionId} was written off: its cost is given back`, false));
  }
}

const linkColumns = `unnest($1::uuid[], $2::text[], $3::bigint[], $4::numeric[], $5::numeric[], $6::bigint[], $7::timestamptz[],
  $8::text[], $9::text[], $10::text[]) WITH ORDINALITY AS l(account_id, account_type, credits_version, balance_before, balance_after,
  account_seq, created_at, kind, stream_key, stream_entry_id, ord)`;

/** The audit row of the version a credit link applied carries the link, if it carries none yet. */
const carryStatement = `
UPDATE data.account_balance_audit a SET account_seq = l.account_seq, balance_before = l.balance_before,
    balance_after = l.balance_after, applied_at = coalesce(a.applied_at, now()), sync_status = 'completed',
    stream_key = l.stream_key, stream_entry_id = l.stream_entry_id
  FROM ${linkColumns}
 WHERE l.kind = 'credit' AND a.account_id = l.account_id AND a.credits_version = l.credits_version AND a.account_seq IS NULL
   AND a.deduction_id IS NULL
RETURNING l.ord`;

/** A link without such a row (a repair, or a version applied again after a loss) gets a row of its own, of amount 0. */
const extraStatement = `
INSERT INTO data.account_balance_audit (account_id, account_type, amount, source, audit_category, created_at, sync_status,
    balance_before, balance_after, account_seq, credits_version, applied_at, reason, actor, kind, stream_key, stream_entry_id)
SELECT l.account_id, l.account_type, 0, 'drawdown', 'adjustment', l.created_at, 'completed', l.balance_before, l.balance_after,
    l.account_seq, CASE WHEN l.kind = 'credit' THEN l.credits_version END, now(),
    CASE WHEN l.kind = 'credit' THEN 'credits version ' || l.credits_version || ' applied again after a loss'
         ELSE 'repair after a loss: the balance was brought to what the books say' END,
    'drawdown', l.kind, l.stream_key, l.stream_entry_id
  FROM ${linkColumns}
 WHERE NOT l.ord = ANY($11::bigint[])
 ORDER BY l.account_id, l.account_seq
ON CONFLICT DO NOTHING
RETURNING id`;

/** A credit link covers every version up to its own: all of them are applied. */
const coverStatement = `
UPDATE data.account_balance_audit a SET applied_at = now(), sync_status = 'completed'
  FROM (SELECT account_id, max(credits_version) AS version FROM ${linkColumns} WHERE l.kind = 'credit' GROUP BY account_id) c
 WHERE a.account_id = c.account_id AND a.credits_version <= c.version AND a.applied_at IS NULL`;

async function writeLinks(query: Query, links: LinkEntry[], outcomes: Map<Entry, SettleOutcome>): Promise<void> {
  const column = <T>(read: (entry: LinkEntry) => T) => links.map(read);
  const values = [
    column((e) => e.accountId),
    column((e) => e.accountType),
    column((e) => e.creditsVersion.toString()),
    column((e) => formatUnits(e.balanceBeforeNanos)),
    column((e) => formatUnits(e.balanceAfterNanos)),
    column((e) => e.accountSeq.toString()),
    column((e) => e.timestamp),
    column((e) => e.kind),
    column((e) => streamKey(e.shard)),
    column((e) => e.entryId),
  ];
  const known = await query<{ ord: string }>(
    `SELECT l.ord FROM ${linkColumns} JOIN data.account_balance_audit a ON a.account_id = l.account_id AND a.account_seq = l.account_seq
        AND a.stream_key = l.stream_key AND a.stream_entry_id = l.stream_entry_id`,
    values,
  );
  const settledBefore = new Set(known.map((row) => Number(row.ord) - 1));
  const fresh = links.map((_, i) => i).filter((i) => !settledBefore.has(i));
  links.forEach((link, i) => outcomes.set(link, { outcome: settledBefore.has(i) ? "already" : "settled" }));
  if (fresh.length === 0) return;
  const freshValues = values.map((list) => fresh.map((i) => list[i]));
  const carried = await query<{ ord: string }>(carryStatement, freshValues);
  await query(extraStatement, [...freshValues, carried.map((row) => row.ord)]);
  await query(coverStatement, freshValues);
}
