// One deduction's story from any id: hold → charge → entry → delivery → rows → ack → trimmed. A hop that was not reached is named, with
// what can be done about it; beside it whose it is, what stands before and after it in the chain, and who had a hand in it.
import { type ExportedFile, findExportedFiles, type RefusalRow } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import { readConsumers } from "./claim.ts";
import { GROUP, shardOf, streamKey } from "./keys.ts";
import { fromBooks } from "./postgres.ts";
import { replyArray } from "./redis.ts";
import { madeAtMs } from "./retention.ts";
import { fieldOf } from "./stats.ts";
import { isUuid } from "./stream.ts";
import { type Found, find, type HoldFound, type Place, placeOf, textFields, textOf } from "./trace-find.ts";
import { type Delivery, type Hop, hopsOf, stateOf, type TraceState } from "./trace-hops.ts";

/** A link of the account's chain beside this one. `deductionId` is null for a credit or repair: its audit row is the name. */
export type Neighbour = { seq: string; deductionId: string | null; auditId: string; amount: string };

export type TouchingOperation = {
  id: string;
  action: string;
  actor: string;
  reason: string;
  startedAt: Date;
  finished: boolean;
};

export type Trace = {
  id: string;
  /** `credit`: also a repair or another change of what Postgres owns. */
  kind: "deduction" | "credit" | "hold" | "refusal" | "unknown";
  state: TraceState;
  deductionId: string | null;
  accountId: string | null;
  ownerId: string | null;
  accountType: "user" | "tenant" | null;
  shard: number | null;
  seq: string | null;
  hops: Hop[];
  hold: HoldFound | null;
  /** The entry's fields as text, while it is in the stream. */
  entry: Record<string, string> | null;
  usageLog: Record<string, unknown> | null;
  audit: Record<string, unknown> | null;
  /** With its history, also when it is replayed. */
  deadLetter: Record<string, unknown> | null;
  /** Why a request of this id was refused for want of money, the newest first; it may have been sent again and charged. */
  refusals: RefusalRow[];
  previous: Neighbour | null;
  next: Neighbour | null;
  /** Of what was exported, or came again too late, or is not known and says its time: the files that hold what was exported of that time. */
  exports: ExportedFile[];
  /** Acts of operators on it, the newest first. */
  operations: TouchingOperation[];
  /** Open alerts about its account or stream. */
  alerts: { id: string; level: string; kind: string; message: string; openedAt: Date }[];
};

/**
 * Resolves a deduction, request, stream entry (with or without its stream), usage_log row, dead letter, hold, or credit (its audit row,
 * reference or entry). `usage_log:7`, `letter:7` and `audit:7` say which row a number means. Throws what is unreachable.
 */
export async function trace(billing: Billing, id: string): Promise<Trace> {
  const found = await find(billing, id);
  const at = placeOf(found);
  const delivery = at && found.entry ? await readDelivery(billing, at) : undefined;
  const unread = at && found.entry ? await isUnread(billing, at) : false;
  const fields = found.entry ? textFields(found.entry) : null;
  const standing = stateOf(found, delivery, unread);
  const state = standing === "unaccounted" && (await isExported(billing, fields)) ? "exported" : standing;
  const { usage, audit, letter, hold, refusals } = found;
  const deductionId = usage?.["deduction_id"] ?? letter?.["deduction_id"] ?? fields?.["deduction_id"] ?? hold?.holdId;
  const account = await readAccount(billing, found, fields);
  const seq =
    textOf(usage?.["account_seq"] ?? audit?.["account_seq"]) ??
    fields?.["account_seq"] ??
    textOf(letter?.["account_seq"]);
  const shard = account ? shardOf(account.id, billing.numShards) : (at?.shard ?? null);
  return {
    id,
    kind: kindOf(found, fields),
    state,
    deductionId: typeof deductionId === "string" ? deductionId : null,
    accountId: account?.id ?? null,
    ownerId: account?.ownerId ?? null,
    accountType: account?.type ?? null,
    shard,
    seq: seq ?? null,
    hops: state === "unknown" || state === "refused" ? [] : hopsOf({ found, fields, delivery, state, at }),
    hold: hold ?? null,
    entry: fields,
    usageLog: usage ?? null,
    audit: audit ?? null,
    deadLetter: letter ?? null,
    refusals,
    ...(await readNeighbours(billing, account?.id, seq)),
    exports:
      state === "unknown" || state === "exported" || letter?.["error_class"] === "too_old"
        ? await readExports(billing, textOf(deductionId) ?? id)
        : [],
    operations: await readOperations(billing, namesOf(found, at, deductionId), textOf(audit?.["id"])),
    alerts: account || at ? await readAlerts(billing, account, shard) : [],
  };
}

/** What is not trimmed yet outlives its rows in the stream: up to the closing link all is settled. */
async function isExported(billing: Billing, fields: Record<string, string> | null): Promise<boolean> {
  const { account_id: accountId, account_seq: seq = "" } = fields ?? {};
  if (!isUuid(accountId) || !/^\d{1,18}$/.test(seq)) return false;
  const rows = await billing.query("SELECT 1 FROM data.account_balance WHERE id = $1 AND closed_seq >= $2", [
    accountId,
    seq,
  ]);
  return rows.length > 0;
}

async function readExports(billing: Billing, id: string): Promise<ExportedFile[]> {
  const [, entryMs] = /^(?:stream:deductions:\d{1,5}\/)?(\d{13})-\d{1,20}$/.exec(id) ?? [];
  const atMs = madeAtMs(id) ?? (entryMs === undefined ? undefined : Number(entryMs));
  return atMs === undefined ? [] : await fromBooks(findExportedFiles(billing.db, atMs));
}

function kindOf({ usage, audit, letter, hold, refusals }: Found, fields: Record<string, string> | null): Trace["kind"] {
  if (usage) return "deduction";
  if (audit || fields?.["kind"] !== undefined) return "credit";
  if (letter || fields) return "deduction";
  if (hold) return "hold";
  return refusals.length > 0 ? "refusal" : "unknown";
}

type Account = { id: string; ownerId: string; type: "user" | "tenant" };

async function readAccount(
  billing: Billing,
  { usage, audit, letter, hold, refusals }: Found,
  fields: Record<string, string> | null,
): Promise<Account | undefined> {
  const id =
    usage?.["account_id"] ??
    audit?.["account_id"] ??
    fields?.["account_id"] ??
    letter?.["account_id"] ??
    hold?.accountId ??
    refusals[0]?.accountId;
  if (!isUuid(id)) return undefined;
  const [account] = await billing.query<Account>(
    `SELECT id, coalesce(owner_userid, owner_tenantid) AS "ownerId",
            CASE WHEN owner_tenantid IS NULL THEN 'user' ELSE 'tenant' END AS type FROM data.account_balance WHERE id = $1`,
    [id],
  );
  return account;
}

async function readNeighbours(billing: Billing, accountId: string | undefined, seq: string | undefined) {
  const none = { previous: null, next: null };
  if (accountId === undefined || seq === undefined || !/^\d{1,18}$/.test(seq)) return none;
  const rows = await billing.query<Neighbour>(
    `SELECT account_seq AS seq, deduction_id AS "deductionId", id AS "auditId", amount FROM data.account_balance_audit
      WHERE account_id = $1 AND account_seq IN ($2::bigint - 1, $2::bigint + 1) ORDER BY id`,
    [accountId, seq],
  );
  const at = (step: bigint) => rows.find((row) => BigInt(row.seq) === BigInt(seq) + step) ?? null;
  return { previous: at(-1n), next: at(1n) };
}

/** Under which names acts keep it. */
function namesOf({ letter }: Found, at: Place | undefined, deductionId: unknown): string[] {
  const names = [deductionId, letter?.["id"], at && `${streamKey(at.shard)}/${at.entryId}`];
  return names.flatMap((name) => (typeof name === "string" ? [name] : []));
}

/** By the names of its targets; a credit's act, which names its account, by the row that it wrote. */
async function readOperations(
  billing: Billing,
  names: readonly string[],
  auditId: string | undefined,
): Promise<TouchingOperation[]> {
  return await billing.query<TouchingOperation>(
    `SELECT id, action, actor, reason, started_at AS "startedAt", finished_at IS NOT NULL AS finished
       FROM data.operator_action WHERE id IN (
        SELECT id FROM data.operator_action WHERE targets @> ANY($1::jsonb[])
        UNION SELECT id FROM data.operator_action WHERE result ->> 'audit_id' = $2)
      ORDER BY started_at DESC, id DESC LIMIT 50`,
    [names.map((name) => JSON.stringify([name])), auditId ?? null],
  );
}

async function readAlerts(
  billing: Billing,
  account: Account | undefined,
  shard: number | null,
): Promise<Trace["alerts"]> {
  const keys = [account?.id, account?.ownerId, shard === null ? undefined : streamKey(shard)];
  return await billing.query<Trace["alerts"][number]>(
    `SELECT id, level, kind, message, opened_at AS "openedAt" FROM data.alert
      WHERE resolved_at IS NULL AND key = ANY($1) ORDER BY opened_at, id`,
    [keys.filter((key) => key !== undefined)],
  );
}

async function readDelivery(billing: Billing, { shard, entryId }: Place): Promise<Delivery | undefined> {
  const rows = await billing
    .ask((redis) => redis.xpending(streamKey(shard), GROUP, entryId, entryId, 1))
    .catch(() => []);
  const [row] = replyArray(rows);
  if (row === undefined) return undefined;
  const [, consumer, idle, count] = replyArray(row);
  const owner = (await readConsumers(billing, shard)).find((one) => one.name === String(consumer));
  return {
    consumer: String(consumer),
    idleMs: Number(idle),
    count: Number(count),
    live: owner !== undefined && owner.idleMs < 10_000,
  };
}

async function isUnread(billing: Billing, { shard, entryId }: Place): Promise<boolean> {
  const groups = replyArray(await billing.ask((redis) => redis.xinfo("GROUPS", streamKey(shard))));
  const group = groups.find((one) => fieldOf(one, "name") === GROUP);
  if (group === undefined) return true;
  const [lastMs = 0n, lastSeq = 0n] = String(fieldOf(group, "last-delivered-id")).split("-").map(BigInt);
  const [ms = 0n, seq = 0n] = entryId.split("-").map(BigInt);
  return ms > lastMs || (ms === lastMs && seq > lastSeq);
}
