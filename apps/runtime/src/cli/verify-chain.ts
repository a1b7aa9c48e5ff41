/** `drawdown verify-chain`: every movement of every balance, each following from the one before. Reads only. */
import { type ChainReport, type ChainVerification, type Problem, verifyChain } from "@drawdown/billing";
import { withBilling } from "../stores.ts";
import { accountOf } from "./accept.ts";
import { print, printJson, printTable } from "./output.ts";

export type VerifyChainOptions = { json: boolean; account?: string };

/** Returns the exit code: 1 when something is broken. */
export async function verifyChainCommand({ json, account }: VerifyChainOptions): Promise<number> {
  return await withBilling(async (billing, db) => {
    const only = account === undefined ? {} : { accountId: (await accountOf(db, account)).id };
    const found = await verifyChain(billing, only);
    if (json) printJson(document(found));
    else show(found);
    return found.ok ? 0 : 1;
  });
}

function document({ ok, accounts, links, broken, reports, left, unreadable }: ChainVerification) {
  return {
    ok,
    accounts,
    links,
    broken,
    problems: reports.flatMap(({ accountId, problems }) =>
      problems.map((one) => ({ account_id: accountId, ...problemDocument(one) })),
    ),
    unreadable: unreadable.map(({ streamKey, entryId }) => ({ stream_key: streamKey, entry_id: entryId })),
    reports: reports.map(reportDocument),
    left,
  };
}

function problemDocument({ kind, fromSeq, toSeq, message, links, details }: Problem) {
  return { kind, from_seq: fromSeq, to_seq: toSeq, message, links, details };
}

function reportDocument(report: ChainReport) {
  return {
    account_id: report.accountId,
    owner_id: report.ownerId,
    account_type: report.type,
    ok: report.ok,
    links: report.links,
    last_seq: report.lastSeq,
    redis: report.redis,
    problems: report.problems.map(problemDocument),
    accepted: report.accepted.map(({ actionId, kind, fromSeq, toSeq, actor, role, reason, acceptedAt }) => ({
      operation_id: actionId,
      kind,
      from_seq: fromSeq,
      to_seq: toSeq,
      actor,
      role,
      reason,
      accepted_at: acceptedAt,
    })),
    repairs: report.repairs.map(({ seq, balanceBefore, balanceAfter, reason, actor, at }) => ({
      seq,
      balance_before: balanceBefore,
      balance_after: balanceAfter,
      reason,
      actor,
      at,
    })),
    open: report.open,
  };
}

function show({ accounts, links, broken, reports, left, unreadable }: ChainVerification): void {
  print(`${links} links of ${accounts} accounts: ${broken === 0 ? "unbroken" : `${broken} accounts are broken`}`);
  const rows = reports.flatMap(linesOf);
  if (rows.length > 0) printTable([["account", "what", "seqs", ""], ...rows]);
  for (const { streamKey, entryId } of unreadable)
    print(`${streamKey}/${entryId} is acked and cannot be read, and no dead letter keeps it`);
  if (left > 0) print(`… and ${left} more accounts with something to say`);
}

function linesOf({ accountId, problems, accepted, repairs, open }: ChainReport): string[][] {
  return [
    ...problems.map(({ kind, fromSeq, toSeq, message }) => [accountId, kind, seqs(fromSeq, toSeq), message]),
    ...accepted.map(({ kind, fromSeq, toSeq, actor, reason }) => [
      accountId,
      `accepted ${kind}`,
      seqs(fromSeq, toSeq),
      `${actor}: ${reason}`,
    ]),
    ...repairs.map(({ seq, balanceBefore, balanceAfter, reason }) => [
      accountId,
      "repaired",
      seq,
      `${balanceBefore ?? "?"} -> ${balanceAfter ?? "?"}  ${reason ?? ""}`,
    ]),
    ...Object.entries(open).map(([standing, sum]) => [
      accountId,
      standing.replaceAll("_", " "),
      "",
      `${sum.links} links, ${sum.amount}`,
    ]),
  ];
}

function seqs(from: string | null, to: string | null): string {
  if (from === null) return "";
  return from === to ? from : `${from}-${to}`;
}
