// Repairing one account: it is set to what the books say, by a link that says so. The act is on record before Redis is touched, the script
// remembers its id, and the account must still be as it was looked at: so it happens once, whoever crashes, and never over a charge.
import { randomUUID } from "node:crypto";
import type { Billing } from "./billing.ts";
import { BillingError } from "./errors.ts";
import { balanceKey, epochKey, repairKey, shardOf, streamKey } from "./keys.ts";
import { loadAccount } from "./load.ts";
import { formatUnits } from "./money.ts";
import { type Act, checkAct } from "./operations.ts";
import { inTransaction, type Query } from "./postgres.ts";
import { loadScript, replyArray, replyText, runScript } from "./redis.ts";
import {
  lookForRepair,
  planRepair,
  type RepairPlan,
  readWriteOffs,
  type Target,
  type WriteOff,
} from "./repair-plan.ts";
import type { AccountRef } from "./stream.ts";

const script = loadScript("./repair.lua");
const REMEMBER_MS = 30 * 24 * 3_600_000;
const MAX_TRIES = 10;

export type RepairOutcome = {
  /**
   * `moved`: the account never held still; nothing was done. `unchanged`: the plan says why. `repeated`: by this very act, before or at the
   * same moment: the link is what came of it, the plan how the account stands now.
   */
  outcome: "repaired" | "unchanged" | "moved" | "repeated";
  /** Null when there was nothing to put on record. */
  operationId: string | null;
  /** The link, when there is one. */
  link: { seq: string; entryId: string; balanceBefore: string; balanceAfter: string } | null;
  plan: RepairPlan;
  /** Acts on this account that a crash had left unfinished, and that were finished first. */
  resumed: string[];
};

/**
 * Repairs an account, and writes off the dead letters that are given. Acts that a crash left unfinished are finished first. Throws
 * `invalid_request` without actor or reason or for a dead letter that cannot be written off, and what is unreachable: then the act may
 * be unfinished, and the next repair of the account finishes it.
 */
export async function repair(
  billing: Billing,
  account: AccountRef,
  act: Act,
  options: { writeOff?: readonly string[] } = {},
): Promise<RepairOutcome> {
  checkAct(act);
  const repeated = await answerAgain(billing, account, act.id);
  if (repeated) return repeated;
  const resumed: string[] = [];
  for (const unfinished of await readUnfinished(billing.query, account.id)) {
    await carryOut(billing, account, unfinished);
    resumed.push(unfinished.id);
  }
  const writeOff = options.writeOff ?? [];
  if (writeOff.length > 0) await loadAccount(billing, account);
  const plan = await planRepair(billing, account, { writeOff });
  const id = act.id ?? randomUUID();
  const recorded = plan.outcome === "repairable" && (await record(billing, account, { ...act, id }, plan, writeOff));
  if (!recorded)
    // Whoever was asked for the same act at the same moment may have been quicker.
    return (
      (await answerAgain(billing, account, act.id)) ?? {
        outcome: "unchanged",
        operationId: null,
        link: null,
        plan,
        resumed,
      }
    );
  billing.observe("repair.recorded", { account: account.id });
  return { ...(await carryOut(billing, account, { ...act, id })), resumed };
}

type Recorded = Required<Act>;

type First = Recorded & { action: string; account: string; result: { link?: RepairOutcome["link"] } | null };

async function readFirst(query: Query, id: string): Promise<First | undefined> {
  const [first] = await query<First>(
    "SELECT id, actor, role, reason, action, targets->>0 AS account, result FROM data.operator_action WHERE id = $1",
    [id],
  );
  return first;
}

/** What came of this very act when it was asked for before; finishes it when nobody has. Undefined: it was not. */
async function answerAgain(
  billing: Billing,
  account: AccountRef,
  id: string | undefined,
): Promise<RepairOutcome | undefined> {
  const first = id === undefined ? undefined : await readFirst(billing.query, id);
  if (first === undefined) return undefined;
  if (first.action !== "repair" || first.account !== account.id)
    throw new BillingError("invalid_request", `The id ${first.id} is of another act.`);
  // Its first asker may be at it in this moment: the script remembers what was done, and for both it is the same.
  if (first.result === null) await carryOut(billing, account, first);
  const link = (await readFirst(billing.query, first.id))?.result?.link ?? null;
  const plan = await planRepair(billing, account);
  return { outcome: "repeated", operationId: first.id, link, plan, resumed: [] };
}

/** Before anything happens in Redis; not when it is on record already. A dead letter is closed here, under the locks that settling it would need. */
async function record(
  billing: Billing,
  account: AccountRef,
  act: Recorded,
  plan: RepairPlan,
  writeOff: readonly string[],
): Promise<boolean> {
  return await inTransaction(billing.db, "BEGIN", async (query) => {
    await query("SELECT 1 FROM data.account_balance WHERE id = $1 FOR NO KEY UPDATE", [account.id]);
    if (await readFirst(query, act.id)) return false;
    const letters = await readWriteOffs(query, account.id, writeOff, { lock: true });
    await query(
      `INSERT INTO data.operator_action (id, actor, role, action, reason, targets, before, after)
       VALUES ($1, $2, $3, 'repair', $4, $5, $6, $7)`,
      [
        act.id,
        act.actor,
        act.role,
        act.reason,
        JSON.stringify([account.id, ...letters.map(({ deadLetterId }) => `dead letter ${deadLetterId}`)]),
        JSON.stringify({ class: plan.class, figures: plan.figures, write_off: letters }),
        JSON.stringify({ link: plan.link }),
      ],
    );
    const event = {
      at: new Date().toISOString(),
      act: "written_off",
      actor: act.actor,
      reason: act.reason,
      operation_id: act.id,
    };
    await query(
      "UPDATE data.dead_letter SET state = 'replayed', history = history || $2::jsonb WHERE id = ANY($1::bigint[])",
      [letters.map(({ deadLetterId }) => deadLetterId), JSON.stringify([event])],
    );
    return true;
  });
}

async function readUnfinished(query: Query, accountId: string): Promise<Recorded[]> {
  return await query<Recorded>(
    `SELECT id, actor, role, reason FROM data.operator_action
      WHERE finished_at IS NULL AND action = 'repair' AND targets->>0 = $1 ORDER BY started_at`,
    [accountId],
  );
}

type Done = { entryId: string; seq: bigint; beforeNanos: bigint; afterNanos: bigint; at: string };

/** Looks, writes and closes the act; looks again when the account moved in between. May be called again after a crash anywhere. */
async function carryOut(billing: Billing, account: AccountRef, act: Recorded): Promise<Omit<RepairOutcome, "resumed">> {
  const entryIds = await readWrittenOffEntries(billing.query, account.id, act.id);
  for (let attempt = 1; ; attempt++) {
    const { plan, target } = await lookForRepair(billing, account, NO_LETTERS);
    const before = await remembered(billing, account, act.id);
    const reply = before ?? (target && (await write(billing, account, act, target, entryIds)));
    if (typeof reply === "object") {
      billing.observe("repair.applied", { account: account.id });
      return await close(billing, account, act, plan, reply);
    }
    if (reply === "moved" && attempt < MAX_TRIES) continue;
    const outcome = reply === "moved" ? "moved" : "unchanged";
    await finish(billing.query, act.id, { outcome, message: plan.message });
    return { outcome, operationId: act.id, link: null, plan };
  }
}

const NO_LETTERS: readonly WriteOff[] = [];

async function write(
  billing: Billing,
  account: AccountRef,
  act: Recorded,
  target: Target,
  entryIds: readonly string[],
): Promise<Done | "moved"> {
  const shard = shardOf(account.id, billing.numShards);
  const keys = [
    streamKey(shard),
    epochKey(shard),
    balanceKey(shard, account.type, account.ownerId),
    repairKey(shard, act.id),
  ];
  const { books } = target;
  const amounts = [target.lastSeq, target.beforeNanos, target.balanceNanos, target.debitsNanos, target.version];
  const settings = [books.limitNanos.toString(), books.status, books.currency];
  const args = [act.id, String(REMEMBER_MS), ...target.raw, ...amounts.map(String), ...settings];
  args.push(account.id, account.ownerId, account.type, ...entryIds);
  const token = await billing.fence.token(shard);
  const [word, done] = replyArray(await runScript(billing.redis, script, keys, [token, ...args]));
  switch (word) {
    case "repaired":
    case "repeated":
      return readDone(replyText(done));
    case "fenced":
      await billing.fence.verify(shard);
      return "moved";
    case "moved":
    case "not_loaded":
      return "moved";
    default:
      throw new TypeError(`repair.lua answered ${String(word)}`);
  }
}

async function remembered(billing: Billing, account: AccountRef, actionId: string): Promise<Done | undefined> {
  const shard = shardOf(account.id, billing.numShards);
  const text = await billing.ask((redis) => redis.get(repairKey(shard, actionId)));
  return text === null ? undefined : readDone(text);
}

function readDone(text: string): Done {
  const [entryId = "", seq = "", before = "", after = "", at = ""] = text.split(" ");
  return { entryId, seq: BigInt(seq), beforeNanos: BigInt(before), afterNanos: BigInt(after), at };
}

/** The link's audit row names the operator's reason; a worker that was quicker has settled it without. */
async function close(
  billing: Billing,
  account: AccountRef,
  act: Recorded,
  plan: RepairPlan,
  done: Done,
): Promise<Omit<RepairOutcome, "resumed">> {
  const link = {
    seq: done.seq.toString(),
    entryId: done.entryId,
    balanceBefore: formatUnits(done.beforeNanos),
    balanceAfter: formatUnits(done.afterNanos),
  };
  await inTransaction(billing.db, "BEGIN", async (query) => {
    await query("SELECT 1 FROM data.account_balance WHERE id = $1 FOR NO KEY UPDATE", [account.id]);
    await query(
      `INSERT INTO data.account_balance_audit (account_id, account_type, amount, source, audit_category, created_at, sync_status,
           balance_before, balance_after, account_seq, applied_at, reason, actor, kind, stream_key, stream_entry_id)
       VALUES ($1, $2, 0, 'drawdown', 'adjustment', $3, 'completed', $4, $5, $6, now(), $7, $8, 'repair', $9, $10)
       ON CONFLICT (stream_key, stream_entry_id, account_id, account_seq) WHERE deduction_id IS NULL AND account_seq IS NOT NULL
       DO UPDATE SET reason = EXCLUDED.reason, actor = EXCLUDED.actor`,
      [
        account.id,
        account.type,
        done.at,
        link.balanceBefore,
        link.balanceAfter,
        link.seq,
        `repair ${act.id}: ${act.reason}`,
        act.actor,
        streamKey(shardOf(account.id, billing.numShards)),
        done.entryId,
      ],
    );
    await finish(query, act.id, { outcome: "repaired", link });
  });
  return { outcome: "repaired", operationId: act.id, link, plan };
}

async function finish(query: Query, id: string, result: object): Promise<void> {
  await query(
    "UPDATE data.operator_action SET result = $2, finished_at = now() WHERE id = $1 AND finished_at IS NULL",
    [id, JSON.stringify(result)],
  );
}

/** The stream entries whose dead letters this act closed: they leave the stream, where they would count as unaccounted. */
async function readWrittenOffEntries(query: Query, accountId: string, actionId: string): Promise<string[]> {
  const rows = await query<{ stream_entry_id: string }>(
    "SELECT stream_entry_id FROM data.dead_letter WHERE account_id = $1 AND history @> $2::jsonb",
    [accountId, JSON.stringify([{ act: "written_off", operation_id: actionId }])],
  );
  return rows.map((row) => row.stream_entry_id);
}
