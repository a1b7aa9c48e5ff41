// The simplest possible account: what was credited, and what was charged. Both stores and the chain must agree with it.
import { randomUUID } from "node:crypto";
import { waitFor } from "@drawdown/local-stack";
import {
  type AccountRef,
  cleanup,
  formatUnits,
  parseUnits,
  peekBalance,
  readBalance,
  reconcile,
  verifyChain,
} from "../src/index.ts";
import { balanceKey, shardOf } from "../src/keys.ts";
import { chainProblems, type Stage } from "./stage.ts";

/** In nanos; `charges` are our deductions, `older` those of older producers, whose costs lower the credits. */
export type Model = { account: AccountRef; creditsNanos: bigint; chargedNanos: bigint; charges: number; older: number };

/** Tenants and users, some of them soon out of money. */
export async function openModels(stage: Stage, accounts: number): Promise<Model[]> {
  return await Promise.all(
    Array.from({ length: accounts }, async (_, i) => {
      const balance = i % 5 === 0 ? "5" : "100";
      const account = await stage.account(balance, { type: i % 4 === 0 ? "tenant" : "user" });
      return { account, creditsNanos: parseUnits(balance), chargedNanos: 0n, charges: 0, older: 0 };
    }),
  );
}

/** What an older producer drew lowers the balance, and is no debit of ours. */
export function olderCharge(model: Model, nanos: bigint): void {
  model.creditsNanos -= nanos;
  model.older++;
}

const posted =
  "SELECT data.post_credit($1, $2::numeric, CASE WHEN $2::numeric > 0 THEN 'top_up' ELSE 'adjustment' END, $3, 'simulated', 'simulation')";
const written = "UPDATE data.account_balance SET balance = balance + $2 WHERE id = $1 AND $3::text IS NOT NULL";

/** Credits an account in Postgres as operators or the business system do, and the model when it was committed. */
export async function credit(stage: Stage, model: Model, nanos: bigint, bySql: boolean): Promise<void> {
  // A connection cut at the wrong moment leaves open whether it was committed: the reference, or the audit row's absence, tells.
  const reference = randomUUID();
  const client = await stage.db.$client.connect();
  let broken = true;
  try {
    await client.query("BEGIN");
    await client.query(bySql ? written : posted, [model.account.id, formatUnits(nanos), reference]);
    model.creditsNanos += nanos;
    await client.query("COMMIT").catch(async (error: unknown) => {
      if (!(await wasCommitted(stage, model, nanos, reference))) model.creditsNanos -= nanos;
      throw error;
    });
    broken = false;
  } finally {
    client.release(broken);
  }
}

async function wasCommitted(stage: Stage, model: Model, nanos: bigint, reference: string): Promise<boolean> {
  const sql =
    "SELECT 1 FROM data.account_balance_audit WHERE account_id = $1 AND amount = $2 AND (reference = $3 OR reference IS NULL) LIMIT 1";
  const rows = await waitFor(
    async () => ({ found: await stage.query(sql, [model.account.id, formatUnits(nanos), reference]) }),
    { timeoutMs: 10_000, what: "Postgres back" },
  );
  return rows.found.length > 0;
}

function balanceOf({ creditsNanos, chargedNanos }: Model): string {
  return formatUnits(creditsNanos - chargedNanos);
}

/** How an account at rest differs from its model, in words; empty when it does not. */
export async function compare(stage: Stage, model: Model): Promise<string[]> {
  const { account, chargedNanos, charges, older } = model;
  const expected = balanceOf(model);
  const redis = formatUnits((await peekBalance(stage.billing, account))?.balanceNanos ?? -1n);
  const [books] = await stage.query<{ balance: string; total_debits: string; rows: number }>(
    `SELECT a.balance, a.total_debits, (SELECT count(*) FROM data.usage_log u WHERE u.account_id = a.id AND settled_at IS NOT NULL)::int AS rows
       FROM data.account_balance a WHERE a.id = $1`,
    [account.id],
  );
  const problems = await chainProblems(stage, account);
  if (redis !== expected) problems.push(`Redis has ${redis}, the model ${expected}`);
  if (books?.balance !== expected) problems.push(`Postgres has ${books?.balance}, the model ${expected}`);
  if (books?.total_debits !== formatUnits(chargedNanos))
    problems.push(`debits ${books?.total_debits}, the model ${formatUnits(chargedNanos)}`);
  if (books?.rows !== charges + older) problems.push(`${books?.rows} rows, the model ${charges + older}`);
  return problems.map((problem) => `account ${account.id}: ${problem}`);
}

/** What the checks that operators run say at rest. Earlier seeds' accounts are among those they look at. */
export async function check(stage: Stage): Promise<string[]> {
  const chain = await verifyChain(stage.billing);
  const equation = await reconcile(stage.billing);
  return [
    ...chain.reports.filter(({ ok }) => !ok).map((report) => `verify-chain: ${JSON.stringify(report)}`),
    ...equation.findings.map((finding) => `reconcile: ${JSON.stringify(finding)}`),
    ...(chain.unreadable.length > 0 ? [`unreadable: ${JSON.stringify(chain.unreadable)}`] : []),
    ...(chain.ok && equation.ok ? [] : ["a check failed"]),
  ];
}

/** At rest everything but dead letters is proven settled: cleanup leaves nothing else, and nothing happened that alarms. */
export async function leftAfterCleanup(stage: Stage): Promise<string[]> {
  const problems: string[] = [];
  for (const { shard, kept } of await cleanup(stage.billing, { maxAgeMs: 0, maxPerShard: 1_000, dryRun: false }))
    for (const [reason, count] of Object.entries(kept))
      if (count > 0 && reason !== "dead_lettered") problems.push(`shard ${shard} keeps ${count} entries as ${reason}`);
  // Redis appended everything with `always`, and Postgres never went back: no restart may look like a loss.
  for (const alert of await stage.query("SELECT kind, key, message, details FROM data.alert"))
    problems.push(`alert ${JSON.stringify(alert)}`);
  return problems;
}

/** The books alone bring every account back as it was, when its stream is clean. */
export async function compareCold(stage: Stage, models: readonly Model[]): Promise<string[]> {
  const compared = models.map(async (model) => {
    const { account } = model;
    const before = await peekBalance(stage.billing, account);
    await stage.billing.redis.del(
      balanceKey(shardOf(account.id, stage.billing.numShards), account.type, account.ownerId),
    );
    const cold = await readBalance(stage.billing, account);
    const [was, is] = [before, cold].map((one) => `${formatUnits(one?.balanceNanos ?? -1n)} at seq ${one?.seq}`);
    return was === is ? [] : [`account ${account.id}: ${is} after a cold load, ${was} before`];
  });
  return (await Promise.all(compared)).flat();
}
