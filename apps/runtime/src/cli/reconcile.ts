/** `drawdown reconcile`: what Redis has beside what the books explain, for every loaded account, to the nano. */
import { type Figures, type Finding, type Reconciliation, reconcile } from "@drawdown/billing";
import { withBilling } from "../stores.ts";
import { accountOf } from "./accept.ts";
import { print, printJson, printTable } from "./output.ts";

export type ReconcileOptions = { json: boolean; account?: string };

/** Returns the exit code: 1 when something was found. */
export async function reconcileCommand({ json, account }: ReconcileOptions): Promise<number> {
  return await withBilling(async (billing, db) => {
    const found = await reconcile(billing, account === undefined ? {} : { account: await accountOf(db, account) });
    if (json) printJson(document(found));
    else show(found);
    return found.ok ? 0 : 1;
  });
}

function document({ ok, accounts, open, findings, left }: Reconciliation) {
  return { ok, accounts, findings: findings.map(findingDocument), left, open };
}

function findingDocument({
  class: driftClass,
  accountId,
  ownerId,
  type,
  shard,
  message,
  figures,
  entries,
  entryCount,
}: Finding) {
  return {
    class: driftClass,
    account_id: accountId,
    owner_id: ownerId,
    account_type: type,
    shard,
    message,
    figures: figures && figuresDocument(figures),
    entry_count: entryCount,
    entries: entries.map(({ streamKey, entryId, deductionId, amount, standing }) => ({
      stream_key: streamKey,
      entry_id: entryId,
      deduction_id: deductionId,
      amount,
      standing,
    })),
  };
}

export function figuresDocument({ seq, creditsVersion, redis, expected, difference, books }: Figures) {
  return {
    seq,
    credits_version: creditsVersion,
    redis,
    expected,
    difference,
    books: {
      total_credits: books.totalCredits,
      total_debits: books.totalDebits,
      settled_after: books.settledAfter,
      credited_after: books.creditedAfter,
      unsettled: books.unsettled,
    },
  };
}

function show({ accounts, open, findings, left }: Reconciliation): void {
  const sums = Object.entries(open).map(
    ([standing, { entries, amount }]) => `${entries} ${standing.replaceAll("_", " ")} (${amount})`,
  );
  print(
    `${accounts} loaded accounts: ${findings.length === 0 ? "all agree with their books" : `${findings.length + left} findings`}`,
  );
  print(`not settled: ${sums.length === 0 ? "nothing" : sums.join(", ")}`);
  if (findings.length === 0) return;
  printTable([["account", "class", "balance in Redis", "explained", "difference", ""], ...findings.map(row)]);
  if (left > 0) print(`… and ${left} more`);
}

function row({ accountId, class: driftClass, shard, message, figures, entryCount }: Finding): string[] {
  const about = accountId ?? `shard ${shard}`;
  const { redis, expected, difference } = figures ?? {};
  const text = entryCount > 0 ? `${entryCount}: ${message}` : message;
  return [about, driftClass, redis?.balance ?? "-", expected?.balance ?? "-", difference?.balance ?? "-", text];
}
