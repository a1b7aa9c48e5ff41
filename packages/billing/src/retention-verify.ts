// `drawdown retention verify`: that what left the books is still to be had. Each file against its checksum on record, its lines against the
// ranges that they were planned as, and the ranges of each account against each other and against what its chain goes on from.
import type { Billing } from "./billing.ts";
import { formatUnits, parseUnits } from "./money.ts";
import { checksumOf, type Line, type Range, readExport, readRanges } from "./retention-file.ts";

/** `file`: null when it is about an account's closing balance. */
export type RetentionProblem = { file: string | null; message: string };

export type RetentionVerification = {
  ok: boolean;
  files: number;
  deductions: number;
  /** Files that are planned or written and whose rows have not all gone: the next run goes on with them. */
  unfinished: number;
  problems: RetentionProblem[];
};

type FileRow = { id: string; name: string; sha256: string | null; over: boolean };

/** Reads every file whole, one after another. Changes nothing. Throws `config` when the directory cannot be read, `postgres_unavailable`. */
export async function verifyRetention(billing: Billing, directory: string): Promise<RetentionVerification> {
  const files = await billing.query<FileRow>(
    "SELECT id, name, sha256, removed_at IS NOT NULL AS over FROM data.retention_file ORDER BY id",
  );
  const problems: RetentionProblem[] = [];
  let deductions = 0;
  for (const file of files) {
    if (file.sha256 === null) continue;
    const ranges = await readRanges(billing, file.id);
    deductions += ranges.reduce((sum, range) => sum + range.deductions, 0);
    const message = await judgeFile(directory, file, ranges);
    if (message !== undefined) problems.push({ file: file.name, message });
  }
  for (const message of await judgeClosings(billing)) problems.push({ file: null, message });
  const unfinished = files.filter(({ over }) => !over).length;
  return { ok: problems.length === 0, files: files.length, deductions, unfinished, problems };
}

async function judgeFile(directory: string, file: FileRow, ranges: readonly Range[]): Promise<string | undefined> {
  const sha256 = await checksumOf(directory, file.name);
  if (sha256 === undefined) return "it is not there";
  if (sha256 !== file.sha256) return `its checksum is ${sha256}, sealed was ${file.sha256}`;
  const lines = readExport(directory, file.name);
  for (const range of ranges) {
    const message = await judgeRange(lines, range);
    if (message !== undefined) return `account ${range.account_id}, range ${range.n}: ${message}`;
  }
  return (await lines.next()).done === true ? undefined : "it holds more lines than were planned";
}

async function judgeRange(lines: AsyncGenerator<Line>, range: Range): Promise<string | undefined> {
  let costNanos = 0n;
  let deductions = 0;
  const ends = new Set<string>();
  for (let i = 0; i < range.lines; i++) {
    const next = await lines.next();
    if (next.done === true) return `line ${i + 1} of ${range.lines} is missing`;
    const { link, usage } = next.value;
    if ((link ?? usage)?.["account_id"] !== range.account_id) return "a line is another account's";
    if (usage !== null) {
      deductions += 1;
      costNanos += parseUnits(String(usage["cost"]));
    }
    if (link?.["account_seq"] === range.to_seq) ends.add(String(link?.["balance_after"]));
  }
  const cost = formatUnits(costNanos);
  if (deductions !== range.deductions || cost !== range.cost)
    return `${deductions} deductions of ${cost}, planned were ${range.deductions} of ${range.cost}`;
  if (range.closing_balance !== null && !ends.has(range.closing_balance))
    return `the chain goes on from ${range.closing_balance}, link ${range.to_seq} ends with ${[...ends].join(" or ") || "nothing"}`;
  return undefined;
}

/** Each range goes on where the one before it ended, and the account where the last one did. */
async function judgeClosings(billing: Billing): Promise<string[]> {
  const rows = await billing.query<{ account_id: string; seq: string }>(
    `SELECT account_id, to_seq AS seq FROM (
       SELECT r.account_id, r.to_seq, r.from_seq - 1 <> lag(r.to_seq, 1, 0::bigint) OVER chain
              OR r.closing_debits - r.cost <> lag(r.closing_debits, 1, 0::numeric) OVER chain AS breaks
         FROM data.retention_range r WHERE r.to_seq IS NOT NULL WINDOW chain AS (PARTITION BY r.account_id ORDER BY r.to_seq)) j
      WHERE breaks
     UNION ALL
     SELECT b.id, b.closed_seq FROM data.account_balance b
      WHERE b.closed_seq <> 0 AND NOT EXISTS (SELECT FROM data.retention_range r WHERE r.account_id = b.id AND r.to_seq = b.closed_seq)
     UNION ALL
     SELECT b.id, b.closed_seq FROM data.retention_range r JOIN data.retention_file f ON f.id = r.file_id AND f.removed_at IS NOT NULL
       JOIN data.account_balance b ON b.id = r.account_id AND b.closed_seq < r.to_seq
     LIMIT 1000`,
  );
  return rows.map(
    ({ account_id: id, seq }) => `account ${id}: its closing balances do not follow from each other at link ${seq}`,
  );
}
