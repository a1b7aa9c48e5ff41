// Accepting a break of the chain: a gap, a fork or a mismatch that really happened cannot be undone, so an operator says why, once,
// for exactly these seqs. From then on it is shown, for ever, and is no alarm. It moves no money.
import type { Billing } from "./billing.ts";
import {
  ACCEPT,
  ACCEPTABLE,
  type AcceptedBreak,
  type BreakRecord,
  isAccepted,
  type Problem,
  readAccepted,
} from "./breaks.ts";
import { BillingError } from "./errors.ts";
import { type Act, checkAct, recordAct } from "./operations.ts";
import { inTransaction } from "./postgres.ts";
import { verifyChain } from "./verify-chain.ts";

export type Acceptance = { accountId: string; fromSeq: bigint; toSeq: bigint };

export type AcceptOutcome =
  | { outcome: "accepted"; operationId: string; breaks: Problem[] }
  | { outcome: "already"; accepted: AcceptedBreak[] }
  | {
      outcome: "refused";
      /** `no_break`: some of the seqs are no break. `not_exact`: a break reaches beyond the seqs. */
      why: "unknown_account" | "no_break" | "not_exact";
      message: string;
    };

/** Two acceptances of one account are judged one after the other. */
const LOCK = "drawdown.accept:";

/**
 * Records that the breaks at exactly these seqs are accepted, as an operator action. Refuses what is no real break now: a seq that is
 * there, on its way, or can be put right (a wrong total, a deleted row). Throws `invalid_request` without actor or reason.
 */
export async function acceptBreak(billing: Billing, acceptance: Acceptance, act: Act): Promise<AcceptOutcome> {
  checkAct(act);
  const { accountId, fromSeq, toSeq } = acceptance;
  if (fromSeq < 1n || toSeq < fromSeq) throw new BillingError("invalid_request", "The seqs are from 1 and in order.");
  const [report] = (await verifyChain(billing, { accountId })).reports;
  if (!report) return { outcome: "refused", why: "unknown_account", message: `there is no account ${accountId}` };
  const breaks = report.problems.filter((one) => ACCEPTABLE.has(one.kind) && touches(one, fromSeq, toSeq));
  const accepted = report.accepted.filter((one) => touches(one, fromSeq, toSeq));
  const beyond = breaks.find((one) => BigInt(one.fromSeq ?? 0) < fromSeq || BigInt(one.toSeq ?? 0) > toSeq);
  if (beyond)
    return {
      outcome: "refused",
      why: "not_exact",
      message: `the ${beyond.kind} is of seqs ${beyond.fromSeq} to ${beyond.toSeq}: accept exactly those`,
    };
  const sound = firstUncovered([...breaks, ...accepted], fromSeq, toSeq);
  if (sound !== undefined)
    return { outcome: "refused", why: "no_break", message: `seq ${sound} is no break that can be accepted` };
  return await inTransaction(billing.db, "BEGIN", async (query): Promise<AcceptOutcome> => {
    // Whoever accepts at the same time waits here, and then finds that it is done.
    await query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [`${LOCK}${accountId}`]);
    const before = await readAccepted(query, [accountId]);
    const left = breaks.filter((one) => !before.some((other) => isAccepted(one, other)));
    if (left.length === 0)
      return { outcome: "already", accepted: before.filter((one) => touches(one, fromSeq, toSeq)) };
    const operationId = await recordAct(query, act, {
      action: ACCEPT,
      targets: left.map((one) => `${accountId} ${one.kind} ${one.fromSeq}-${one.toSeq}`),
      counts: { targets: left.length, applied: left.length, already: 0, failed: 0, left: 0 },
      before: { problems: left.map(({ message }) => message) },
      result: { breaks: left.map((one) => recordOf(accountId, one)) },
    });
    return { outcome: "accepted", operationId, breaks: left };
  });
}

function recordOf(accountId: string, { kind, fromSeq, toSeq, links, details }: Problem): BreakRecord {
  return { account_id: accountId, kind, from_seq: fromSeq ?? "", to_seq: toSeq ?? "", links, details };
}

type Range = { fromSeq: string | null; toSeq: string | null };

function touches({ fromSeq, toSeq }: Range, from: bigint, to: bigint): boolean {
  return fromSeq !== null && toSeq !== null && BigInt(fromSeq) <= to && BigInt(toSeq) >= from;
}

/** The first seq of the range that none of the breaks covers. */
function firstUncovered(breaks: readonly Range[], from: bigint, to: bigint): bigint | undefined {
  let next = from;
  const sorted = breaks.toSorted((a, b) => (BigInt(a.fromSeq ?? 0) < BigInt(b.fromSeq ?? 0) ? -1 : 1));
  for (const { fromSeq, toSeq } of sorted) {
    if (BigInt(fromSeq ?? 0) > next) break;
    if (BigInt(toSeq ?? 0) >= next) next = BigInt(toSeq ?? 0) + 1n;
  }
  return next > to ? undefined : next;
}
