// The files of retention: gzip of JSON lines, each a link with its audit row and, of a deduction, its usage_log row; amounts and numbers
// are text, so nothing is rounded. Written as a stream under another name, made durable, and only then given its own: a file that has its
// name is whole. Beside it lies its checksum, for `sha256sum -c`.
import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import type { Billing } from "./billing.ts";
import { BillingError } from "./errors.ts";
import { formatUnits, parseUnits } from "./money.ts";

/** A range as it is on record. Seqs and amounts are decimal text; of older producers' rows the seqs are null. */
export type Range = {
  n: number;
  account_id: string;
  from_seq: string | null;
  to_seq: string | null;
  lines: number;
  deductions: number;
  cost: string;
  closing_balance: string | null;
  closing_debits: string | null;
};

/** A line of a file. Every value of a row is text or null; `metadata_json` is as it was. */
export type Line = { link: Record<string, unknown> | null; usage: Record<string, unknown> | null };

export async function readRanges(billing: Pick<Billing, "query">, fileId: string): Promise<Range[]> {
  return await billing.query<Range>(
    `SELECT n, account_id, from_seq, to_seq, lines, deductions, cost, closing_balance, closing_debits
       FROM data.retention_range WHERE file_id = $1 ORDER BY n`,
    [fileId],
  );
}

const textOf = (row: string) =>
  `(SELECT jsonb_object_agg(key, CASE WHEN key = 'metadata_json' THEN value WHEN value = 'null' THEN value ELSE to_jsonb(value #>> '{}') END)
      FROM jsonb_each(to_jsonb(${row})))`;
const line = `jsonb_build_object('link', CASE WHEN a.id IS NOT NULL THEN ${textOf("a")} END, 'usage', CASE WHEN u.id IS NOT NULL THEN ${textOf("u")} END)::text`;

/** Columns that are added later are exported too. */
const linesStatement = `
SELECT ${line} AS line, u.cost FROM data.retention_range r
  JOIN data.account_balance_audit a ON a.account_id = r.account_id AND a.account_seq BETWEEN r.from_seq AND r.to_seq
  LEFT JOIN data.usage_log u ON u.id = a.usage_log_id AND a.deduction_id IS NOT NULL
 WHERE r.file_id = $1 AND r.n = $2 ORDER BY a.account_seq, a.id`;
const olderStatement = `
SELECT ${line} AS line, u.cost FROM data.retention_range r
  JOIN data.account_balance b ON b.id = r.account_id
  JOIN data.usage_log u ON u.account_id = b.id AND u.account_seq IS NULL AND u.settled_at < b.closed_before
   AND u.created_at >= r.from_at AND u.created_at < r.to_at
  LEFT JOIN data.account_balance_audit a ON a.deduction_id = u.deduction_id
 WHERE r.file_id = $1 AND r.n = $2 ORDER BY u.created_at, u.id`;

async function* linesOf(billing: Billing, fileId: string): AsyncGenerator<string> {
  for (const range of await readRanges(billing, fileId)) {
    const statement = range.to_seq === null ? olderStatement : linesStatement;
    const rows = await billing.query<{ line: string; cost: string | null }>(statement, [fileId, range.n]);
    const cost = formatUnits(rows.reduce((sum, row) => sum + parseUnits(row.cost ?? "0"), 0n));
    const deductions = rows.filter((row) => row.cost !== null).length;
    if (rows.length !== range.lines || deductions !== range.deductions || cost !== range.cost)
      throw new Error(
        `range ${range.n} of account ${range.account_id} was planned with ${range.lines} lines and ${range.cost}, the books have ${rows.length} and ${cost}`,
      );
    yield `${rows.map((row) => row.line).join("\n")}\n`;
  }
}

export type Sealed = { sha256: string; bytes: number };

/** Writes a file whole and durable. Throws `config` when the directory cannot be written, `postgres_unavailable`. */
export async function writeExport(
  billing: Billing,
  file: { id: string; name: string },
  directory: string,
): Promise<Sealed> {
  const path = join(directory, file.name);
  const partial = `${path}.${randomUUID()}.partial`;
  const hash = createHash("sha256");
  let bytes = 0;
  const measured = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  };
  return await onDisk(directory, async () => {
    await mkdir(dirname(path), { recursive: true });
    for (const left of await readdir(dirname(path))) // by a run that died
      if (left.startsWith(`${basename(path)}.`) && left.includes(".partial")) await rm(join(dirname(path), left));
    const handle = await open(partial, "wx");
    const to = handle.createWriteStream({ flush: true });
    await pipeline(Readable.from(linesOf(billing, file.id)), createGzip(), measured, to);
    const sha256 = hash.digest("hex");
    await rename(partial, path);
    await writeFile(`${partial}.sha256`, `${sha256}  ${basename(path)}\n`, { flush: true });
    await rename(`${partial}.sha256`, `${path}.sha256`);
    const folder = await open(dirname(path), "r");
    await folder.sync();
    await folder.close();
    return { sha256, bytes };
  });
}

/** The checksum of a file as it lies there; undefined when it is not there. */
export async function checksumOf(directory: string, name: string): Promise<string | undefined> {
  const hash = createHash("sha256");
  return await onDisk(directory, async () => {
    try {
      for await (const chunk of createReadStream(join(directory, name))) hash.update(chunk as Buffer);
    } catch (error) {
      if (codeOf(error) === "ENOENT") return undefined;
      throw error;
    }
    return hash.digest("hex");
  });
}

/** The lines of a file, one after another. Throws what is wrong with the gzip or the JSON of it. */
export async function* readExport(directory: string, name: string): AsyncGenerator<Line> {
  const from = createReadStream(join(directory, name));
  const text = createGunzip();
  const fed = pipeline(from, text);
  fed.catch(() => {}); // it is thrown to whoever reads
  for await (const one of createInterface({ input: text, crlfDelay: Infinity })) yield JSON.parse(one) as Line;
  await fed;
}

async function onDisk<T>(directory: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (codeOf(error) === undefined || error instanceof BillingError) throw error;
    const message = `The files of retention in ${directory} cannot be used: ${codeOf(error)}.`;
    throw new BillingError("config", message, { cause: error });
  }
}

/** Of a failure of the file system. */
function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "syscall" in error && "code" in error ? String(error.code) : undefined;
}
