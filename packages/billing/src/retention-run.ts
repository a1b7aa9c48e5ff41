// A run of retention. A file goes through four steps, each finished before the next begins: planned (on record with what it is to hold),
// written (durable under its name), sealed (its checksum on record), removed (its rows gone, in small batches, each in one transaction with
// the closing balance that the chain goes on from). Whoever dies in between leaves a file that is not over; the next run goes on with it
// before it plans anything else, so no row is lost and none is in two files.
import type { Billing } from "./billing.ts";
import { BillingError } from "./errors.ts";
import { formatUnits, parseUnits } from "./money.ts";
import { OpenEntries } from "./open-entries.ts";
import { type Act, checkAct } from "./operations.ts";
import { inTransaction, isTransient, type Query } from "./postgres.ts";
import { checksumOf, type Range, readRanges, writeExport } from "./retention-file.ts";
import {
  defaultRetentionLimits,
  type Piece,
  planFile,
  planPage,
  type RetentionFile,
  type RetentionLimits,
} from "./retention-plan.ts";

export type RetentionSettings = {
  /** What was drawn before this moment may go. */
  before: Date;
  /** Files are written below it. It must be the same at each run, and outlive this machine. */
  directory: string;
  limits?: RetentionLimits;
  signal?: AbortSignal;
};

export type RetainedFile = {
  name: string;
  sha256: string;
  operationId: string;
  accounts: number;
  deductions: number;
  cost: string;
};

export type Retained = {
  files: RetainedFile[];
  /** Removed from the tables, and what they cost. */
  deductions: number;
  cost: string;
  /** Accounts of which nothing went because their chain is not whole: verify-chain says why. */
  broken: string[];
};

/** Nobody may lose what a limit or a request id is asked of: a month's spend, and ids that are remembered for a week. */
export const RETENTION_DAYS_LEAST = 35;

const MAX_TRANSIENT = 10;
const NO_ID = "00000000-0000-0000-0000-000000000000";

/**
 * Exports and removes what is older than the cut, after what an earlier run left unfinished. Throws `invalid_request` without actor or
 * reason, `config` when the directory cannot be used or a file is not what was sealed, and what is unreachable: the next run goes on.
 */
export async function retain(billing: Billing, settings: RetentionSettings, act: Omit<Act, "id">): Promise<Retained> {
  checkAct(act);
  const { before, directory, limits = defaultRetentionLimits } = settings;
  const retained: Retained = { files: [], deductions: 0, cost: formatUnits(0n), broken: [] };
  const finish = async (file: RetentionFile) => add(retained, await finishFile(billing, file, directory, limits));
  for (const file of await readUnfinished(billing)) await finish(file);
  const open = new OpenEntries(billing);
  let page = { after: NO_ID, more: true };
  while (page.more && !settings.signal?.aborted) {
    const planned = await planPage(billing, open, before, page.after, limits);
    page = planned;
    retained.broken.push(...planned.broken);
    let settledBefore = planned.settledBefore;
    for (const pieces of filesOf(planned.pieces, limits)) {
      if (settings.signal?.aborted) break;
      const file = await planFile(billing, pieces, settledBefore, before, act);
      settledBefore = [];
      if (file) await finish(file);
    }
  }
  return retained;
}

export type RetentionPreview = {
  accounts: number;
  deductions: number;
  cost: string;
  oldest: Date | null;
  broken: string[];
};

/** What a run would remove now. Changes nothing. */
export async function previewRetention(billing: Billing, before: Date): Promise<RetentionPreview> {
  const open = new OpenEntries(billing);
  const limits = { ...defaultRetentionLimits, batchLines: Number.MAX_SAFE_INTEGER };
  const preview: RetentionPreview = { accounts: 0, deductions: 0, cost: formatUnits(0n), oldest: null, broken: [] };
  let page = { after: NO_ID, more: true };
  while (page.more) {
    const planned = await planPage(billing, open, before, page.after, limits);
    page = planned;
    preview.broken.push(...planned.broken);
    const [sum] = await billing.query<{
      accounts: number;
      deductions: number;
      cost: string | null;
      oldest: Date | null;
    }>(
      `SELECT count(DISTINCT u.account_id)::int AS accounts, count(*)::int AS deductions, sum(u.cost) AS cost, min(u.created_at) AS oldest
         FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::timestamptz[]) AS p(account_id, from_seq, to_seq, from_at, to_at)
         JOIN data.usage_log u ON u.account_id = p.account_id AND u.settled_at IS NOT NULL AND (u.account_seq BETWEEN p.from_seq AND p.to_seq
           OR u.account_seq IS NULL AND u.created_at >= p.from_at AND u.created_at < p.to_at)`,
      columnsOf(planned.pieces),
    );
    preview.accounts += sum?.accounts ?? 0;
    preview.deductions += sum?.deductions ?? 0;
    preview.cost = formatUnits(parseUnits(preview.cost) + parseUnits(sum?.cost ?? "0"));
    if (sum?.oldest && (preview.oldest === null || sum.oldest < preview.oldest)) preview.oldest = sum.oldest;
  }
  return preview;
}

function columnsOf(pieces: readonly Piece[]): unknown[] {
  return [
    pieces.map(({ accountId }) => accountId),
    pieces.map(({ fromSeq }) => fromSeq?.toString() ?? null),
    pieces.map(({ toSeq }) => toSeq?.toString() ?? null),
    pieces.map(({ fromAt }) => fromAt ?? null),
    pieces.map(({ toAt }) => toAt ?? null),
  ];
}

function add(retained: Retained, file: RetainedFile): void {
  retained.files.push(file);
  retained.deductions += file.deductions;
  retained.cost = formatUnits(parseUnits(retained.cost) + parseUnits(file.cost));
}

/** Pieces, each of a batch at most, as files of about so many lines. */
function filesOf(pieces: readonly Piece[], { fileLines, batchLines }: RetentionLimits): Piece[][] {
  const files: Piece[][] = [];
  let room = 0;
  for (const piece of pieces) {
    const lines = piece.fromSeq === undefined ? batchLines : Number(piece.toSeq - piece.fromSeq) + 1;
    if (room < lines || files.length === 0) {
      files.push([]);
      room = fileLines;
    }
    files.at(-1)?.push(piece);
    room -= lines;
  }
  return files;
}

async function readUnfinished(billing: Billing): Promise<RetentionFile[]> {
  return await billing.query<RetentionFile>(
    `SELECT id, name, operation_id AS "operationId", sha256 FROM data.retention_file WHERE removed_at IS NULL ORDER BY id`,
  );
}

async function finishFile(
  billing: Billing,
  file: RetentionFile,
  directory: string,
  { batchLines }: RetentionLimits,
): Promise<RetainedFile> {
  const sha256 = file.sha256 ?? (await writeAndSeal(billing, file, directory));
  // Read again, as it lies there now: nothing is removed that is not in it.
  if ((await checksumOf(directory, file.name)) !== sha256)
    throw new BillingError(
      "config",
      `${file.name} in ${directory} is not the file that was sealed, or is not there. Nothing more is removed until it is put back.`,
    );
  const ranges = await readRanges(billing, file.id);
  for (const batch of batchesOf(ranges, batchLines)) {
    await removeBatch(billing, file.id, batch);
    billing.observe("retention.removed", { file: file.name, ranges: batch.length });
  }
  await billing.query("UPDATE data.retention_file SET removed_at = now() WHERE id = $1 AND removed_at IS NULL", [
    file.id,
  ]);
  const deductions = ranges.reduce((sum, range) => sum + range.deductions, 0);
  const cost = formatUnits(ranges.reduce((sum, range) => sum + parseUnits(range.cost), 0n));
  const accounts = new Set(ranges.map(({ account_id: id }) => id)).size;
  return { name: file.name, sha256, operationId: file.operationId, accounts, deductions, cost };
}

async function writeAndSeal(billing: Billing, file: RetentionFile, directory: string): Promise<string> {
  const { sha256, bytes } = await writeExport(billing, file, directory);
  billing.observe("retention.written", { file: file.name });
  await billing.query("UPDATE data.retention_file SET sha256 = $2, bytes = $3 WHERE id = $1 AND sha256 IS NULL", [
    file.id,
    sha256,
    bytes,
  ]);
  billing.observe("retention.sealed", { file: file.name });
  // Another run may have been quicker; what it sealed is what counts.
  const [sealed] = await billing.query<{ sha256: string }>("SELECT sha256 FROM data.retention_file WHERE id = $1", [
    file.id,
  ]);
  return sealed?.sha256 ?? sha256;
}

function batchesOf(ranges: readonly Range[], batchLines: number): Range[][] {
  const batches: Range[][] = [];
  let room = 0;
  for (const range of ranges) {
    if (room < range.lines) {
      batches.push([]);
      room = batchLines;
    }
    batches.at(-1)?.push(range);
    room -= range.lines;
  }
  return batches;
}

/** The accounts are locked as settling locks them, for as long as some thousand rows take to go. */
async function removeBatch(billing: Billing, fileId: string, batch: readonly Range[]): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await inTransaction(billing.db, "BEGIN", (query) => removeOnce(query, fileId, batch));
    } catch (error) {
      if (!isTransient(error) || attempt === MAX_TRANSIENT) throw error;
    }
  }
}

/** A hold that was noted as not captured and was captured late after all is known by its row alone: the note goes with it. */
const removeStatement = `
WITH given AS (
  SELECT * FROM data.retention_range WHERE file_id = $1 AND n = ANY($2::int[])
), links AS (
  DELETE FROM data.account_balance_audit a USING given g
   WHERE a.account_id = g.account_id AND a.account_seq BETWEEN g.from_seq AND g.to_seq AND a.deduction_id IS NOT NULL
  RETURNING g.n, a.usage_log_id
), linked AS (
  DELETE FROM data.usage_log u USING links l WHERE u.id = l.usage_log_id RETURNING l.n, u.deduction_id, u.cost
), older AS (
  DELETE FROM data.usage_log u USING given g JOIN data.account_balance b ON b.id = g.account_id
   WHERE g.to_seq IS NULL AND u.account_id = b.id AND u.account_seq IS NULL AND u.settled_at < b.closed_before
     AND u.created_at >= g.from_at AND u.created_at < g.to_at
  RETURNING g.n, u.deduction_id, u.cost
), audits AS (
  DELETE FROM data.account_balance_audit a USING older o WHERE a.deduction_id = o.deduction_id
), gone AS (
  SELECT * FROM linked UNION ALL SELECT * FROM older
), holds AS (
  DELETE FROM data.uncaptured_hold h USING gone WHERE h.hold_id = gone.deduction_id
)
SELECT n, count(*)::int AS deductions, sum(cost) AS cost FROM gone GROUP BY n`;

async function removeOnce(query: Query, fileId: string, batch: readonly Range[]): Promise<void> {
  const ids = [...new Set(batch.map(({ account_id: id }) => id))];
  const rows = await query<{ id: string; closed: string }>(
    "SELECT id, closed_seq AS closed FROM data.account_balance WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE",
    [ids],
  );
  const closed = new Map(rows.map((row) => [row.id, BigInt(row.closed)]));
  const isGone = ({ account_id: id, to_seq: to }: Range) => to !== null && (closed.get(id) ?? 0n) >= BigInt(to);
  const left = batch.filter((range) => !isGone(range));
  const found = await query<{ n: number; deductions: number; cost: string }>(removeStatement, [
    fileId,
    left.map(({ n }) => n),
  ]);
  const removed = new Map(found.map((row) => [row.n, row]));
  for (const range of left) {
    if (range.from_seq !== null && range.to_seq !== null) {
      const at = closed.get(range.account_id);
      if (at !== BigInt(range.from_seq) - 1n)
        throw new Error(
          `account ${range.account_id} is closed up to ${at}, range ${range.n} of file ${fileId} begins at ${range.from_seq}`,
        );
      closed.set(range.account_id, BigInt(range.to_seq));
    }
    const { deductions = 0, cost = formatUnits(0n) } = removed.get(range.n) ?? {};
    const removedBefore = range.to_seq === null && deductions === 0;
    if (!removedBefore && (deductions !== range.deductions || cost !== range.cost))
      throw new Error(
        `range ${range.n} of file ${fileId} holds ${range.deductions} deductions of ${range.cost}, the books ${deductions} of ${cost}: nothing of it is removed`,
      );
  }
  await query(
    `UPDATE data.account_balance b SET closed_seq = r.to_seq
       FROM (SELECT account_id, max(to_seq) AS to_seq FROM data.retention_range WHERE file_id = $1 AND n = ANY($2::int[]) GROUP BY 1) r
      WHERE b.id = r.account_id AND r.to_seq > b.closed_seq`,
    [fileId, left.map(({ n }) => n)],
  );
}
