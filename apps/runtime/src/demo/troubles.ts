/** What goes wrong in a ledger, made as it happens: entries that cannot settle, a worker that dies, one that acks what it did not write. */
import { setTimeout as wait } from "node:timers/promises";
import {
  type Act,
  alertUnaccounted,
  type Billing,
  listPending,
  listUnaccounted,
  monitor,
  proveAll,
  readOperation,
  runOperation,
  startReplay,
} from "@drawdown/billing";
import { readClock } from "@drawdown/db";
import { Problem } from "../problem.ts";
import { busy, late, makeCustomer, missingAccountId } from "./customers.ts";
import { ackUnwritten, append, appendTo, type OlderEntry } from "./entries.ts";

const settleMs = 90_000;
const deadWorker = "worker-that-died";
/** Acts of the demo, known by their ids when it runs again. */
const operations = {
  cured: "00000000-0000-4000-8000-000000000301",
  failed: "00000000-0000-4000-8000-000000000302",
};

const [ada, borealis, cobalt] = busy;

function entry(deductionId: string, accountId: string | undefined, more: Partial<OlderEntry> = {}): OlderEntry {
  return {
    deductionId,
    accountId: accountId ?? missingAccountId,
    virtualKey: "vk_demo_older",
    cost: "0.0125",
    provider: "openai",
    model: "gpt-4o",
    inputTokens: 800,
    outputTokens: 240,
    at: new Date(),
    ...more,
  };
}

const lateIds = Array.from({ length: 5 }, (_, number) => `ded_demo_late_${number}`);
const cures = lateIds.map((id) => entry(id, late.account.id));
const broken = [
  entry("ded_demo_no_account", missingAccountId),
  entry("ded_demo_no_number", borealis?.account.id, { cost: "twelve cents" }),
  // The id is in the books with another cost.
  entry("ded_demo_past_1", borealis?.account.id, { cost: "7.5" }),
];

/** Dead letters: five whose cause is cured and that an act has replayed, and three that stay, of different classes. */
export async function failToSettle(billing: Billing, act: Act): Promise<void> {
  await appendMissingLetters(billing, [...cures, ...broken]);
  await makeCustomer(billing, late, act);
  const cured = { ...act, id: operations.cured, reason: "demo: the account is there now" };
  await replay(billing, lateIds, cured);
  const failed = { ...act, id: operations.failed, reason: "demo: try what is left" };
  await replay(billing, await openLetterIds(billing), failed);
}

async function appendMissingLetters(billing: Billing, entries: readonly OlderEntry[]): Promise<void> {
  const ids = entries.map(({ deductionId }) => deductionId);
  const kept = async () => {
    const sql = "SELECT DISTINCT deduction_id FROM data.dead_letter WHERE deduction_id = ANY($1)";
    return new Set((await billing.query<{ deduction_id: string }>(sql, [ids])).map((row) => row.deduction_id));
  };
  const known = await kept();
  await append(
    billing,
    entries.filter(({ deductionId }) => !known.has(deductionId)),
  );
  await until("the dead letters", async () => (await kept()).size === ids.length);
}

async function openLetterIds(billing: Billing): Promise<string[]> {
  const ids = broken.map(({ deductionId }) => deductionId);
  const sql = "SELECT id::text FROM data.dead_letter WHERE deduction_id = ANY($1) AND state = 'open' ORDER BY id";
  return (await billing.query<{ id: string }>(sql, [ids])).map(({ id }) => id);
}

/** Any worker may be the one that executes it. */
async function replay(billing: Billing, ids: readonly string[], act: Act & { id: string }): Promise<void> {
  if ((await readOperation(billing.query, act.id)) !== undefined) return;
  const { operationId } = await startReplay(billing, { kind: "dead_letters", ids }, act);
  if (operationId === null) return;
  await until(
    "the replay",
    async () => (await runOperation(billing, operationId, AbortSignal.timeout(settleMs))) === "finished",
  );
}

/** An entry that was acked and is not in the books; found as monitoring finds it, which opens the alerts. */
export async function loseSight(billing: Billing): Promise<void> {
  const lost = entry("ded_demo_unaccounted", cobalt?.account.id, { model: "gpt-4o-mini", cost: "0.0031" });
  if (!(await isKnown(billing, lost.deductionId, listUnaccounted))) {
    await ackUnwritten(billing, lost.accountId, await appendTo(billing, "older-worker", lost));
  }
  const judgedFrom = await readClock(billing.db);
  await alertUnaccounted(billing, await proveAll(billing), judgedFrom);
  await monitor(billing, { confirmMs: 0 });
}

/** An entry in the hands of a worker that died. A live worker takes it over within seconds, and nothing is lost. */
export async function dieWith(billing: Billing, deductionId: string): Promise<void> {
  if (await isKnown(billing, deductionId, listPending)) return;
  const more = { virtualKey: "vk_demo_ada_app", model: "gpt-4o-mini", cost: "0.0001" };
  await appendTo(billing, deadWorker, entry(deductionId, ada?.account.id, more));
}

type List = (billing: Billing, filters: { ids: string[] }, limit: number) => Promise<{ entries: unknown[] }>;

/** In the books, or where the list looks. */
async function isKnown(billing: Billing, deductionId: string, list: List): Promise<boolean> {
  const booked = await billing.query("SELECT 1 FROM data.usage_log WHERE deduction_id = $1", [deductionId]);
  return booked.length > 0 || (await list(billing, { ids: [deductionId] }, 1)).entries.length > 0;
}

export async function until(what: string, is: () => Promise<boolean>): Promise<void> {
  for (const giveUpAt = performance.now() + settleMs; !(await is()); await wait(100))
    if (performance.now() > giveUpAt) throw new Problem(`The demo waited ${settleMs / 1_000} s in vain for ${what}.`);
}
