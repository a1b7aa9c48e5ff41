// What else happens to a running system: older producers and workers beside ours, cut connections, an operator's replay.
import { randomUUID } from "node:crypto";
import { waitFor } from "@drawdown/local-stack";
import { type AccountRef, type Billing, proveAll, runOperation, startReplay } from "../src/index.ts";
import type { Stage } from "./stage.ts";

/** Small, fast and the same everywhere (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/**
 * Writes an entry exactly as the replaced system's producer does, and returns its cost in nanos. A command that was not answered
 * may have been done: the stream tells. What cleanup has removed meanwhile is written a second time, and settles once.
 */
export async function sendAsOlderProducer(
  stage: Stage,
  account: AccountRef,
  key: string,
  micros: number,
): Promise<bigint> {
  const fields = {
    deduction_id: `ded_old_${randomUUID()}`,
    account_id: account.id,
    account_type: account.type,
    virtual_key: "vk_old",
    cost: String(micros / 1e6),
    currency: "USD",
    provider: "openai",
    model: "gpt-4o",
    input_tokens: "3",
    output_tokens: "4",
    timestamp: new Date().toISOString(),
  };
  const { redis } = stage.billing;
  const send = () => redis.xadd(key, "*", ...Object.entries(fields).flat());
  const isThere = async () =>
    (await redis.xrange(key, "-", "+")).some(([, flat]) => flat.includes(fields.deduction_id));
  await send().catch(() =>
    waitFor(async () => (await isThere()) || (await send()), { timeoutMs: 30_000, what: "an older producer's entry" }),
  );
  return BigInt(micros) * 1_000n;
}

const olderColumns = [
  "deduction_id",
  "virtual_key",
  "account_id",
  "account_type",
  "provider",
  "model",
  "cost",
  "currency",
  "timestamp",
  "input_tokens",
  "output_tokens",
];

/** Reads like the replaced system's worker: acks what it read, written or not, and never moves a balance. Notes what it acked. */
export async function readAsOlderWorker(stage: Stage, key: string, writes: boolean, acked: Set<string>): Promise<void> {
  const { redis } = stage.billing;
  const reply = await redis.xreadgroup("GROUP", "billing_workers", "older-worker", "COUNT", 3, "STREAMS", key, ">");
  const [stream] = Array.isArray(reply) ? reply : [];
  for (const [id, fields] of Array.isArray(stream) ? (stream[1] as [string, string[]][]) : []) {
    const value = (name: string) => fields[fields.indexOf(name) + 1] ?? "";
    if (writes && fields.includes("virtual_key"))
      await insertAsOlderWorker(stage, olderColumns.map(value)).catch(() => {});
    acked.add(id);
    await redis.xack(key, "billing_workers", id);
  }
}

async function insertAsOlderWorker(stage: Stage, values: string[]): Promise<void> {
  await stage.query(
    `INSERT INTO data.usage_log (deduction_id, virtual_key, account_id, account_type, provider, model, cost, currency, created_at, input_tokens, output_tokens, metadata_json, sync_status)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '{}', 'completed') ON CONFLICT (deduction_id) DO NOTHING`,
    values,
  );
}

/** Cuts connections to Postgres; `which` is a condition on pg_stat_activity. */
export async function cutConnections(stage: Stage, which: string): Promise<void> {
  await stage.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND ${which}`,
  );
}

/**
 * Finds what is acked and not in the books, half-settled rows included, and settles it as an operator does: an act with frozen
 * targets, executed until it is over however often its executor dies. Returns the ids of the entries found.
 */
export async function replayUnaccounted(billing: Billing): Promise<string[]> {
  await proveAll(billing);
  const act = { actor: "simulation", role: "admin", reason: "simulated" };
  const { operationId, plan } = await startReplay(billing, { kind: "unaccounted" }, act);
  if (operationId !== null)
    await waitFor(
      async () => (await runOperation(billing, operationId, new AbortController().signal)) === "finished" || undefined,
      { timeoutMs: 30_000, what: "the end of a replay" },
    );
  return plan.targets.map(({ target }) => target.entry_id);
}
