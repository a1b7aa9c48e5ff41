// Alerts of what the passes over the books found: entries that are acked and not in them, accounts that drifted, chains that are
// broken. Each pass judges everything, so what it does not find any more is over, and its alert is resolved.
import { openAlert, resolveOthers } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import { fromBooks } from "./postgres.ts";
import type { Proof } from "./proven.ts";
import type { Reconciliation } from "./reconcile.ts";
import { type ChainVerification, verifyChain } from "./verify-chain.ts";

/** One alert an account, up to so many; what is beyond is counted in one more, with the key `""`. */
const MAX_ALERTS = 100;
const UNACCOUNTED_CRITICAL_FROM = 100;
/** What may have happened is over when nothing of it is left, and not before. */
const DOUBTS = ["lost_epoch", "postgres_went_back"];

type Found = { key: string; message: string; details: Record<string, unknown> };

/** Opens or resolves `unaccounted` after a pass over all shards. */
export async function alertUnaccounted(billing: Billing, proofs: readonly Proof[], judgedFrom: Date): Promise<void> {
  const shards = proofs.filter(({ unaccounted }) => unaccounted.length > 0);
  const entries = shards.reduce((sum, { unaccounted }) => sum + unaccounted.length, 0);
  if (entries === 0) return await fromBooks(resolveOthers(billing.db, "unaccounted", [], judgedFrom));
  await fromBooks(
    openAlert(billing.db, {
      level: entries >= UNACCOUNTED_CRITICAL_FROM ? "critical" : "warning",
      kind: "unaccounted",
      key: "",
      message: `${entries} ${entries === 1 ? "entry is" : "entries are"} acked and not in the books.`,
      details: { entries, shards: shards.map(({ shard }) => shard) },
    }),
  );
}

/**
 * After a reconciliation of all accounts: opens `drift` for each account (or shard) with a finding, and resolves what is not found
 * any more. Unaccounted entries have an alert of their own.
 */
export async function alertDrift(billing: Billing, found: Reconciliation, judgedFrom: Date): Promise<void> {
  const drifted = found.findings.filter((finding) => finding.class !== "unaccounted_entry");
  const alerts = drifted.map(({ accountId, shard, class: driftClass, message, figures }) => ({
    key: accountId ?? `shard ${shard}`,
    message: `${driftClass}: ${message}`,
    details: { class: driftClass, account_id: accountId, shard, figures },
  }));
  await keepInStep(billing, "drift", alerts, found.left, judgedFrom);
}

/**
 * Ends what a loss or a restored Postgres had put in question (`lost_epoch`, `postgres_went_back`) when everything was looked at since,
 * and nothing was found: by the reconciliation that is given, and by a verification of all chains, which is made when there is something
 * to end. A loss breaks chains that balance: reconciling alone does not see them.
 */
export async function endDoubts(
  billing: Billing,
  found: Reconciliation,
  judgedFrom: Date,
  signal?: AbortSignal,
): Promise<void> {
  if (!found.ok) return;
  const sql = "SELECT 1 FROM data.alert WHERE kind = ANY($1) AND resolved_at IS NULL AND opened_at < $2 LIMIT 1";
  if ((await billing.query(sql, [DOUBTS, judgedFrom])).length === 0) return;
  const chains = await verifyChain(billing, signal ? { signal } : {});
  // Cut short it has not seen every chain, and resolves nothing.
  if (signal?.aborted) return;
  await alertChains(billing, chains, judgedFrom);
  if (!chains.ok) return;
  for (const kind of DOUBTS) await fromBooks(resolveOthers(billing.db, kind, [], judgedFrom));
}

/** After a verification of all chains: opens `broken_chain` for each account with a problem, and resolves what is whole again. */
export async function alertChains(billing: Billing, found: ChainVerification, judgedFrom: Date): Promise<void> {
  const broken = found.reports.filter(({ ok }) => !ok);
  const alerts = broken.map(({ accountId, problems }) => ({
    key: accountId,
    message: `${problems[0]?.kind ?? "problem"}: ${problems[0]?.message ?? ""}${problems.length > 1 ? `, and ${problems.length - 1} more` : ""}`,
    details: { account_id: accountId, problems: problems.slice(0, 10) },
  }));
  await keepInStep(billing, "broken_chain", alerts, found.broken - broken.length, judgedFrom);
}

async function keepInStep(
  billing: Billing,
  kind: string,
  found: readonly Found[],
  left: number,
  judgedFrom: Date,
): Promise<void> {
  const each = new Map(found.map((one) => [one.key, one]));
  const alerts = [...each.values()].slice(0, MAX_ALERTS);
  const more = each.size - alerts.length + left;
  if (more > 0) alerts.push({ key: "", message: `There are ${more} more.`, details: { more } });
  for (const alert of alerts) await fromBooks(openAlert(billing.db, { level: "critical", kind, ...alert }));
  await fromBooks(
    resolveOthers(
      billing.db,
      kind,
      alerts.map(({ key }) => key),
      judgedFrom,
    ),
  );
}
