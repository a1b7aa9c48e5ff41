// Holds that nobody ended. What they set aside is available again; what our own gateways opened is noted as served and not captured: the one
// loss that a killed gateway leaves, counted, listed and alerted.
import { openAlert, resolveAlert } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import { randomOf } from "./hold.ts";
import { balanceKey, holdKey, holdsDueKey, holdsKey } from "./keys.ts";
import { formatUnits } from "./money.ts";
import { fromBooks } from "./postgres.ts";
import { loadScript, replyArray, replyText, runScript } from "./redis.ts";

const script = loadScript("./draw.lua", "./sweep.lua");
const SWEPT_AT_ONCE = 100;
const ALERTED_FOR = "24 hours";

type Due = { shard: number; member: string; toNote: string[] };

/**
 * Releases what has expired on every shard, also of accounts that nobody asks for, and notes what was served and not captured. Returns
 * how many accounts were due. Any number may sweep at once. Throws `BillingError`: what could not be noted is noted by the next sweep.
 */
export async function sweepHolds(billing: Billing): Promise<number> {
  const due: Due[] = [];
  for (let shard = 0; shard < billing.numShards; shard++) due.push(...(await sweepShard(billing, shard)));
  const toNote = due.filter((one) => one.toNote.length > 0);
  if (toNote.length === 0) return due.length;
  await note(billing, toNote);
  for (const one of toNote) await sweepAccount(billing, one, one.toNote);
  await alertUncaptured(billing);
  return due.length;
}

async function sweepShard(billing: Billing, shard: number): Promise<Due[]> {
  const [seconds, micros] = await billing.ask((redis) => redis.time());
  const now = Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
  const key = holdsDueKey(shard);
  const members = await billing.ask((redis) => redis.zrangebyscore(key, "-inf", now, "LIMIT", 0, SWEPT_AT_ONCE));
  return await Promise.all(
    members.map(async (member) => ({ shard, member, toNote: await sweepAccount(billing, { shard, member }, []) })),
  );
}

async function sweepAccount(
  billing: Billing,
  { shard, member }: Omit<Due, "toNote">,
  noted: readonly string[],
): Promise<string[]> {
  const [type = "", ownerId = "", accountId = ""] = member.split(":");
  const keys = [balanceKey(shard, type, ownerId), holdsKey(shard, accountId), holdsDueKey(shard)];
  return replyArray(await runScript(billing.redis, script, keys, [member, ...noted])).map(replyText);
}

/** Into the books, from the holds' records. Noted twice it is the same. */
async function note(billing: Billing, due: readonly Due[]): Promise<void> {
  const fields = ["account", "virtual_key", "request_id", "provider", "model", "amount", "opened", "expires"] as const;
  const holds = due.flatMap(({ shard, toNote }) => toNote.map((holdId) => ({ shard, holdId })));
  const rows = await Promise.all(
    holds.map(async ({ shard, holdId }): Promise<Record<string, string | null | undefined>> => {
      const key = holdKey(shard, randomOf(holdId) ?? "");
      const values = await billing.ask((redis) => redis.hmget(key, ...fields));
      return { hold_id: holdId, ...Object.fromEntries(fields.map((name, i) => [name, values[i]])) };
    }),
  );
  const known = rows.filter((row) => row["account"]); // a record that is gone was ended by its opener a moment ago
  if (known.length === 0) return;
  await billing.query(
    `INSERT INTO data.uncaptured_hold (hold_id, account_id, virtual_key, request_id, provider, model, amount, opened_at, expired_at)
     SELECT hold_id, account, virtual_key, request_id, provider, model, amount,
            to_timestamp(opened / 1000.0), to_timestamp(expires / 1000.0)
       FROM jsonb_to_recordset($1::jsonb) AS r(hold_id text, account uuid, virtual_key text, request_id text, provider text, model text,
            amount numeric, opened bigint, expires bigint)
     ON CONFLICT (hold_id) DO NOTHING`,
    [JSON.stringify(known.map((row) => ({ ...row, amount: formatUnits(BigInt(row["amount"] ?? 0)) })))],
  );
}

export type UncapturedHold = {
  holdId: string;
  accountId: string;
  virtualKey: string;
  requestId: string;
  provider: string;
  model: string;
  /** What was set aside: decimal text of units. */
  amount: string;
  openedAt: Date;
  expiredAt: Date;
};

/** What was captured late after all is in the books under the hold's id. */
const UNCAPTURED = `data.uncaptured_hold h WHERE NOT EXISTS (SELECT FROM data.usage_log u WHERE u.deduction_id = h.hold_id)`;

/** Holds of our own gateways that expired with no end, the newest first. Throws `postgres_unavailable`. */
export async function listUncaptured(
  billing: Billing,
  options: { accountId?: string; limit?: number } = {},
): Promise<UncapturedHold[]> {
  return await billing.query<UncapturedHold>(
    `SELECT hold_id AS "holdId", account_id AS "accountId", virtual_key AS "virtualKey", request_id AS "requestId", provider, model,
            amount, opened_at AS "openedAt", expired_at AS "expiredAt"
       FROM ${UNCAPTURED} AND ($1::text IS NULL OR account_id::text = lower($1)) ORDER BY expired_at DESC, hold_id LIMIT $2`,
    [options.accountId ?? null, options.limit ?? 100],
  );
}

/** Opens `served_not_captured` for what expired within a day, and resolves it when there is nothing. */
export async function alertUncaptured(billing: Billing): Promise<void> {
  const [found] = await billing.query<{ holds: number; amount: string }>(
    `SELECT count(*)::int AS holds, coalesce(sum(amount), 0) AS amount FROM ${UNCAPTURED} AND expired_at > now() - $1::interval`,
    [ALERTED_FOR],
  );
  if (!found || found.holds === 0) return await fromBooks(resolveAlert(billing.db, "served_not_captured", ""));
  await fromBooks(
    openAlert(billing.db, {
      level: "warning",
      kind: "served_not_captured",
      key: "",
      message: `${found.holds} ${found.holds === 1 ? "request was" : "requests were"} cut off with their gateway in the last day: what was delivered by then is not charged.`,
      details: { holds: found.holds, set_aside: found.amount },
    }),
  );
}
