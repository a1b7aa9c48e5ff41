// The equation of every balance. For a hash at seq s and credits version v, and a snapshot taken after it:
//   debits in Redis           = total_debits − Σ settled own deductions after s + Σ own deductions up to s that are not settled
//   balance + debits in Redis = total_credits − Σ credits after v
// It holds to the nano at every moment; where it does not, something happened that no act of ours does.
import { formatUnits, parseUnits } from "./money.ts";
import type { OpenLink } from "./open-entries.ts";
import type { Query } from "./postgres.ts";
import type { Hash, Reading } from "./reading.ts";
import type { AccountType } from "./stream.ts";

export type LoadedHash = Extract<Hash, { state: "loaded" }>;

/** An account's books as one snapshot has them, with what came after a hash's seq and version. */
export type Books = {
  accountId: string;
  currency: string;
  status: string;
  limitNanos: bigint;
  totalCreditsNanos: bigint;
  totalDebitsNanos: bigint;
  version: bigint;
  newestSeq: bigint;
  settledAfterNanos: bigint;
  creditedAfterNanos: bigint;
};

/** Both sides of the equation. Amounts are units with 9 decimals, seqs decimal text. */
export type Figures = {
  seq: string;
  creditsVersion: string;
  redis: { balance: string; debits: string };
  expected: { balance: string; debits: string };
  /** Redis less expected: above zero, Redis has more than the books explain. */
  difference: { balance: string; debits: string };
  books: {
    totalCredits: string;
    totalDebits: string;
    settledAfter: string;
    creditedAfter: string;
    unsettled: string;
  };
};

export type Balanced = { expectedBalanceNanos: bigint; expectedDebitsNanos: bigint; holds: boolean; figures: Figures };

/** Reads the books of each hash's account; undefined where there is no such account. In the order of `readings`. */
export async function readBooks(query: Query, readings: readonly Reading[]): Promise<(Books | undefined)[]> {
  type Row = Record<
    "n" | "id" | "currency" | "status" | "credit_limit" | "total_credits" | "total_debits" | "credits_version",
    string
  > &
    Record<"newest_seq" | "settled_after" | "credited_after", string | null>;
  const owners = (type: AccountType) => readings.map(({ place }) => (place.type === type ? place.ownerId : null));
  const numbers = (read: (hash: LoadedHash) => bigint) =>
    readings.map(({ hash }) => (hash.state === "loaded" ? read(hash).toString() : null));
  const rows = await query<Row>(
    `SELECT r.n, b.id, b.currency, b.status, b.credit_limit, b.total_credits, b.total_debits, b.credits_version,
            (SELECT a.account_seq FROM data.account_balance_audit a
              WHERE a.account_id = b.id AND a.account_seq IS NOT NULL ORDER BY a.account_seq DESC LIMIT 1) AS newest_seq,
            (SELECT sum(u.cost) FROM data.usage_log u
              WHERE u.account_id = b.id AND u.account_seq > r.seq AND u.settled_at IS NOT NULL) AS settled_after,
            (SELECT sum(c.amount) FROM data.account_balance_audit c
              WHERE c.account_id = b.id AND c.credits_version > r.version) AS credited_after
       FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS r(user_id, tenant_id, seq, version, n)
       JOIN data.account_balance b ON b.owner_userid = r.user_id OR b.owner_tenantid = r.tenant_id`,
    [owners("user"), owners("tenant"), numbers(({ seq }) => seq), numbers(({ version }) => version)],
  );
  const books: (Books | undefined)[] = readings.map(() => undefined);
  for (const row of rows)
    books[Number(row.n) - 1] = {
      accountId: row.id,
      currency: row.currency,
      status: row.status,
      limitNanos: parseUnits(row.credit_limit),
      totalCreditsNanos: parseUnits(row.total_credits),
      totalDebitsNanos: parseUnits(row.total_debits),
      version: BigInt(row.credits_version),
      newestSeq: BigInt(row.newest_seq ?? 0),
      settledAfterNanos: parseUnits(row.settled_after ?? "0"),
      creditedAfterNanos: parseUnits(row.credited_after ?? "0"),
    };
  return books;
}

/** Σ of the account's own deductions that are not settled, up to a seq. What was written off is none of them. */
export function sumUnsettled(links: readonly OpenLink[], upTo?: bigint): bigint {
  let nanos = 0n;
  for (const { kind, seq, amountNanos, standing } of links)
    if (kind === "usage" && seq !== null && standing !== "written_off" && (upTo === undefined || seq <= upTo))
      nanos -= amountNanos;
  return nanos;
}

/** Both sides of the equation for one hash. `links`: the account's open links. */
export function balance(hash: LoadedHash, books: Books, links: readonly OpenLink[]): Balanced {
  const unsettledNanos = sumUnsettled(links, hash.seq);
  const expectedDebitsNanos = books.totalDebitsNanos - books.settledAfterNanos + unsettledNanos;
  const expectedBalanceNanos = books.totalCreditsNanos - books.creditedAfterNanos - expectedDebitsNanos;
  const { balanceNanos, debitsNanos } = hash;
  return {
    expectedBalanceNanos,
    expectedDebitsNanos,
    holds: balanceNanos === expectedBalanceNanos && debitsNanos === expectedDebitsNanos,
    figures: {
      seq: hash.seq.toString(),
      creditsVersion: hash.version.toString(),
      redis: { balance: formatUnits(balanceNanos), debits: formatUnits(debitsNanos) },
      expected: { balance: formatUnits(expectedBalanceNanos), debits: formatUnits(expectedDebitsNanos) },
      difference: {
        balance: formatUnits(balanceNanos - expectedBalanceNanos),
        debits: formatUnits(debitsNanos - expectedDebitsNanos),
      },
      books: {
        totalCredits: formatUnits(books.totalCreditsNanos),
        totalDebits: formatUnits(books.totalDebitsNanos),
        settledAfter: formatUnits(books.settledAfterNanos),
        creditedAfter: formatUnits(books.creditedAfterNanos),
        unsettled: formatUnits(unsettledNanos),
      },
    },
  };
}
