// What a replay would do, target by target: the dry run, and the frozen set of the act. Nothing is changed here, and what is
// said here guards nothing: the SQL that settles is the guard, whatever happened since.
import type { Billing } from "./billing.ts";
import { BillingError } from "./errors.ts";
import { shardOfStream, streamKey } from "./keys.ts";
import { formatUnits } from "./money.ts";
import { MAX_TARGETS } from "./operations.ts";
import { chosenShards, parseEntryName } from "./pending.ts";
import { type Found, findTargets, type ReplaySelection, type ReplayTarget, readFailedNames } from "./replay-find.ts";
import { readBooks } from "./standing.ts";
import { entryName } from "./unaccounted.ts";

export type TargetClass = "already_applied" | "held_by_live_consumer" | "eligible" | "unparseable" | "account_gone";

export type PlannedTarget = {
  name: string;
  target: ReplayTarget;
  class: TargetClass;
  /** Who holds it, or why it cannot be read. */
  note?: string;
};

export type ReplayPlan = {
  targets: PlannedTarget[];
  classes: Record<TargetClass, number>;
  /** Ids that were asked for and name no target. */
  missing: string[];
};

/** Finds and classifies. Throws `invalid_request` for more targets than one act may have, and what is unreachable. */
export async function planReplay(billing: Billing, asked: ReplaySelection): Promise<ReplayPlan> {
  const selection =
    asked.kind === "failed" ? { ...asked, kind: "named" as const, ids: await readFailedNames(billing, asked) } : asked;
  const targets: PlannedTarget[] = [];
  const limit = selection.limit ?? Number.POSITIVE_INFINITY;
  for await (const page of findTargets(billing, selection)) {
    targets.push(...(await classify(billing, page)));
    if (targets.length >= limit) break;
    if (targets.length > MAX_TARGETS)
      throw new BillingError(
        "invalid_request",
        `More than ${MAX_TARGETS} targets match: choose a shard, an age, or a limit.`,
      );
  }
  const { settled, missing } = await explainMissing(billing, selection, targets);
  targets.push(...settled);
  if (targets.length > limit) targets.length = limit;
  const classes = { already_applied: 0, held_by_live_consumer: 0, eligible: 0, unparseable: 0, account_gone: 0 };
  for (const target of targets) classes[target.class]++;
  return { targets, classes, missing };
}

async function classify(billing: Billing, page: readonly Found[]): Promise<PlannedTarget[]> {
  const settled = await findSettled(billing, page);
  const accounts = await findAccounts(billing, page);
  return page.map((found) => {
    const { kind, raw, entry, unreadable, holder, letterId, closed } = found;
    const name = letterId ?? entryName(raw.shard, raw.entryId);
    const target: ReplayTarget = {
      kind,
      shard: raw.shard,
      entry_id: raw.entryId,
      ...(letterId === undefined ? {} : { dead_letter_id: letterId }),
      ...(entry === undefined ? {} : { account_id: entry.accountId }),
      ...(entry?.kind === "usage" ? { deduction_id: entry.deductionId, cost: formatUnits(entry.costNanos) } : {}),
    };
    if (closed || settled.has(found)) return { name, target, class: "already_applied" };
    if (holder !== undefined) return { name, target, class: "held_by_live_consumer", note: holder };
    if (!entry) return { name, target, class: "unparseable", note: unreadable?.message ?? "" };
    if (!accounts.has(entry.accountId)) return { name, target, class: "account_gone", note: entry.accountId };
    return { name, target, class: "eligible" };
  });
}

/** Those whose deduction or link is in the books, with the same account, cost and seq. */
async function findSettled(billing: Billing, page: readonly Found[]): Promise<Set<Found>> {
  const settled = new Set<Found>();
  for (const [shard, inShard] of Map.groupBy(page, ({ raw }) => raw.shard)) {
    const booked = await readBooks(billing, shard, inShard);
    for (const found of inShard) if (booked.get(found.raw.entryId) === "settled") settled.add(found);
    const removed = inShard.filter(({ kind, raw }) => kind === "pending" && raw.fields.length === 0);
    const bookedById = await findBookedIds(
      billing,
      shard,
      removed.map(({ raw }) => raw.entryId),
    );
    for (const found of removed) if (bookedById.has(found.raw.entryId)) settled.add(found);
  }
  return settled;
}

/** Which entries, no longer in the stream, were settled: by the place that their rows name. */
export async function findBookedIds(
  billing: Billing,
  shard: number,
  entryIds: readonly string[],
): Promise<Set<string>> {
  if (entryIds.length === 0) return new Set();
  const rows = await billing.query<{ entry_id: string }>(
    `SELECT stream_entry_id AS entry_id FROM data.usage_log
      WHERE stream_entry_id = ANY($2) AND stream_key = $1 AND settled_at IS NOT NULL
     UNION SELECT stream_entry_id FROM data.account_balance_audit
      WHERE stream_entry_id = ANY($2) AND stream_key = $1 AND deduction_id IS NULL AND account_seq IS NOT NULL`,
    [streamKey(shard), entryIds],
  );
  return new Set(rows.map((row) => row.entry_id));
}

async function findAccounts(billing: Billing, page: readonly Found[]): Promise<Set<string>> {
  const ids = [...new Set(page.flatMap(({ entry }) => entry?.accountId ?? []))];
  const rows = await billing.query<{ id: string }>("SELECT id FROM data.account_balance WHERE id = ANY($1::uuid[])", [
    ids,
  ]);
  return new Set(rows.map((row) => row.id));
}

/** What was asked for by id and is no target any more: what is in the books is already applied, the rest is not there. */
async function explainMissing(
  billing: Billing,
  selection: Exclude<ReplaySelection, { kind: "failed" }>,
  targets: readonly PlannedTarget[],
): Promise<{ settled: PlannedTarget[]; missing: string[] }> {
  const found = new Set(
    targets.flatMap(({ target: { shard, entry_id, dead_letter_id, deduction_id } }) => [
      entry_id,
      entryName(shard, entry_id),
      dead_letter_id,
      deduction_id,
    ]),
  );
  const missing: string[] = [];
  const settled: PlannedTarget[] = [];
  for (const id of selection.ids ?? []) {
    if (found.has(id)) continue;
    const places = selection.kind === "dead_letters" ? [] : await findBooked(billing, id);
    if (places.length === 0) missing.push(id);
    for (const { shard, entryId } of places) {
      const kind = selection.kind === "pending" ? "pending" : "unaccounted";
      const target = { kind, shard, entry_id: entryId } as const;
      settled.push({ name: entryName(shard, entryId), target, class: "already_applied" });
    }
  }
  return { settled, missing };
}

/** Where an entry or deduction that is in the books stood in the streams. */
async function findBooked(billing: Billing, id: string): Promise<{ shard: number; entryId: string }[]> {
  const { shard, entryId } = parseEntryName(id);
  const rows = await billing.query<{ stream_key: string; entry_id: string }>(
    `SELECT stream_key, stream_entry_id AS entry_id FROM data.usage_log
      WHERE (stream_entry_id = $1 OR deduction_id = $1) AND stream_key = ANY($2) AND settled_at IS NOT NULL
     UNION SELECT stream_key, stream_entry_id FROM data.account_balance_audit
      WHERE stream_entry_id = $1 AND stream_key = ANY($2) AND deduction_id IS NULL AND account_seq IS NOT NULL`,
    [entryId ?? id, chosenShards(billing, shard === undefined ? {} : { shards: [shard] }).map(streamKey)],
  );
  return rows.map((row) => ({ shard: shardOfStream(row.stream_key) ?? -1, entryId: row.entry_id }));
}
