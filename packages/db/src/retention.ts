// What left the books, as those who ask for it are told: the closing balance that an account's chain goes on from, and the files.
import { isUuid } from "./accounts.ts";
import type { Db } from "./connect.ts";

/** Amounts are units with 9 decimals, 64-bit numbers decimal text. */
export type Closing = {
  /** The last link whose deductions are no longer here; credits up to it are. */
  seq: string;
  balance: string;
  /** What the deductions that left cost, since the account was opened. */
  debits: string;
  /** When that link moved the balance. */
  at: Date;
  /** The file that it is in, below the directory of retention, and how many files hold links of this account. */
  file: string;
  files: number;
};

/** Undefined while an account has all its links. */
export async function readClosing(db: Db, accountId: string): Promise<Closing | undefined> {
  if (!isUuid(accountId)) return undefined;
  const { rows } = await db.$client.query<Closing>(
    `SELECT r.to_seq AS seq, r.closing_balance AS balance, r.closing_debits AS debits, r.to_at AS at, f.name AS file,
            (SELECT count(DISTINCT o.file_id)::int FROM data.retention_range o WHERE o.account_id = b.id AND o.to_seq <= b.closed_seq) AS files
       FROM data.account_balance b
       JOIN data.retention_range r ON r.account_id = b.id AND r.to_seq = b.closed_seq
       JOIN data.retention_file f ON f.id = r.file_id
      WHERE b.id = $1`,
    [accountId],
  );
  return rows[0];
}

/** A file in which a deduction may be whose rows are no longer here. `removedAt`: null while some of its rows may still be here. */
export type ExportedFile = {
  /** Below the directory of retention. */
  name: string;
  /** When the first and the last that it holds moved a balance. */
  from: Date;
  to: Date;
  deductions: number;
  /** Lower-case hex, of the file as it was sealed. */
  sha256: string;
  removedAt: Date | null;
};

const FILES_MAX = 20;
/** A capture has its hold's id, and so the time of the hold. */
const DAY_MS = 86_400_000;

/** The files that hold what moved balances on the day from this moment on, the oldest first, at most 20. */
export async function findExportedFiles(db: Db, fromMs: number): Promise<ExportedFile[]> {
  const { rows } = await db.$client.query<ExportedFile>(
    `SELECT f.name, r."from", r."to", r.deductions, f.sha256, f.removed_at AS "removedAt" FROM data.retention_file f
      CROSS JOIN LATERAL (SELECT min(from_at) AS "from", max(to_at) AS "to", sum(deductions)::int AS deductions
                            FROM data.retention_range WHERE file_id = f.id) r
      WHERE f.sha256 IS NOT NULL AND f.id IN (SELECT file_id FROM data.retention_range WHERE to_at >= $1 AND from_at <= $2)
      ORDER BY f.id LIMIT ${FILES_MAX}`,
    [new Date(fromMs), new Date(fromMs + DAY_MS)],
  );
  return rows;
}
