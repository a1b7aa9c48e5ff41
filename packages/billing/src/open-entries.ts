// What is drawn and not settled, wherever it stands: unread, pending, acked without being written, or dead-lettered. A stream is
// read once from its proven mark on, and after that only what was appended since, however many comparisons one run makes.
import type { Billing } from "./billing.ts";
import { shardOfStream, streamKey } from "./keys.ts";
import { formatUnits, parseUnits } from "./money.ts";
import type { Query } from "./postgres.ts";
import { readMark, readUnaccountedIds } from "./proven.ts";
import { readStandings, readStandingsOf, type Standing, type StandingEntry } from "./standing.ts";

/** `written_off`: a dead letter whose cost an operator gave back by a repair, because it can never settle. */
export type OpenStanding = Exclude<Standing, "settled"> | "written_off";

/** A deduction, credit or repair that is not settled. `seq` is null for what an older producer drew: no link of our chain. */
export type OpenLink = {
  shard: number;
  entryId: string;
  kind: "usage" | "credit" | "repair";
  /** The same from the stream to the books: the deduction's id, or the entry's. */
  name: string;
  accountId: string;
  seq: bigint | null;
  /** Signed: a deduction's is below zero. */
  amountNanos: bigint;
  beforeNanos: bigint | null;
  afterNanos: bigint | null;
  /** Of a credit link. */
  version: bigint | null;
  standing: OpenStanding;
};

/** An acked entry that nobody can read and no dead letter keeps. */
export type UnreadableOpen = { shard: number; entryId: string };

type ShardEntries = { position: string; links: Map<string, OpenLink>; unreadable: Map<string, UnreadableOpen> };

const PAGE = 1_000;
const ROWS_AT_ONCE = 20_000;

/** Only this account's entries, and none at all of a stream with more than `atMost` entries after its mark. */
export type OnlyAccount = { accountId: string; atMost: number };

/** The open entries of some shards. Lives as long as one run that compares. */
export class OpenEntries {
  readonly #billing: Billing;
  readonly #only: OnlyAccount | undefined;
  readonly #shards = new Map<number, ShardEntries>();
  /** False when a stream was too long for `atMost`: then its entries are not known. */
  complete = true;

  constructor(billing: Billing, only?: OnlyAccount) {
    this.#billing = billing;
    this.#only = only;
  }

  /** Reads on to the end of each stream as it is now. */
  async advance(shards: readonly number[]): Promise<void> {
    await Promise.all(shards.map((shard) => this.#advance(shard)));
  }

  /** Reads these shards anew the next time: Redis may have lost what was read. */
  forget(shards: readonly number[]): void {
    for (const shard of shards) this.#shards.delete(shard);
  }

  linksOf(shards: readonly number[]): OpenLink[] {
    return shards.flatMap((shard) => [...(this.#shards.get(shard)?.links.values() ?? [])]);
  }

  unreadableOf(shards: readonly number[]): UnreadableOpen[] {
    return shards.flatMap((shard) => [...(this.#shards.get(shard)?.unreadable.values() ?? [])]);
  }

  /** What is settled now stays settled. */
  drop(link: OpenLink): void {
    this.#shards.get(link.shard)?.links.delete(link.entryId);
  }

  async #advance(shard: number): Promise<void> {
    const entries = this.#shards.get(shard) ?? (await this.#start(shard));
    if (this.#only) return await this.#advanceOne(shard, entries, this.#only);
    const [newest] = await this.#billing.ask((redis) => redis.xrevrange(streamKey(shard), "+", "-", "COUNT", 1));
    if (newest === undefined) return;
    for (let more = true; more; ) {
      const page = await readStandings(this.#billing, shard, `(${entries.position}`, newest[0], PAGE);
      for (const entry of page.entries) keep(entries, entry);
      entries.position = page.entries.at(-1)?.raw.entryId ?? entries.position;
      more = page.more;
    }
  }

  /** Most entries are others': they are left out before anything is asked about them. */
  async #advanceOne(shard: number, entries: ShardEntries, { accountId, atMost }: OnlyAccount): Promise<void> {
    const rows = await this.#billing.ask((redis) =>
      redis.xrangeBuffer(streamKey(shard), `(${entries.position}`, "+", "COUNT", atMost + 1),
    );
    this.complete = rows.length <= atMost;
    if (!this.complete) return;
    const own = rows.filter(([, fields]) => accountOfFields(fields) === accountId).map(([id]) => id.toString());
    if (own.length > 0) for (const entry of await readStandingsOf(this.#billing, shard, own)) keep(entries, entry);
    entries.position = rows.at(-1)?.[0].toString() ?? entries.position;
  }

  /** The mark first, what is kept beside it after: an entry that passes the mark in between is then seen twice, never not at all. */
  async #start(shard: number): Promise<ShardEntries> {
    const entries: ShardEntries = {
      position: await readMark(this.#billing, shard),
      links: new Map(),
      unreadable: new Map(),
    };
    const beside = [...(await readUnaccountedIds(this.#billing, shard))];
    const kept = beside.flatMap(([id, of]) => (this.#only === undefined || of === this.#only.accountId ? [id] : []));
    for (const entry of await readStandingsOf(this.#billing, shard, kept)) keep(entries, entry);
    this.#shards.set(shard, entries);
    return entries;
  }
}

/** The account that an entry names, as the books write it; undefined when it names none. */
export function accountOfFields(fields: readonly Buffer[]): string | undefined {
  for (let i = 0; i + 1 < fields.length; i += 2)
    if (fields[i]?.toString() === "account_id") return fields[i + 1]?.toString().toLowerCase();
  return undefined;
}

function keep(entries: ShardEntries, { raw, entry, standing }: StandingEntry): void {
  if (standing === "settled") return;
  const { shard, entryId } = raw;
  if (entry === undefined) {
    if (standing === "unaccounted") entries.unreadable.set(entryId, { shard, entryId });
    return;
  }
  const common = { shard, entryId, accountId: entry.accountId, seq: entry.accountSeq, standing };
  const balances = { beforeNanos: entry.balanceBeforeNanos, afterNanos: entry.balanceAfterNanos };
  entries.links.set(
    entryId,
    entry.kind === "usage"
      ? {
          ...common,
          ...balances,
          kind: "usage",
          name: entry.deductionId,
          amountNanos: -entry.costNanos,
          version: null,
        }
      : {
          ...common,
          ...balances,
          kind: entry.kind,
          name: entryId,
          amountNanos: entry.amountNanos,
          version: entry.kind === "credit" ? entry.creditsVersion : null,
        },
  );
}

/**
 * What is open in the snapshot behind `query`: the entries read before it and the dead letters in it, less what is settled in it.
 * Of the given accounts, or with `alsoOthers` also of every other account with an entry in these shards.
 */
export async function readUnsettled(
  query: Query,
  open: OpenEntries,
  shards: readonly number[],
  accountIds: readonly string[],
  options: { alsoOthers: boolean } = { alsoOthers: false },
): Promise<OpenLink[]> {
  const wanted = new Set(accountIds);
  const read = open.linksOf(shards).filter((link) => options.alsoOthers || wanted.has(link.accountId));
  const byEntry = new Map(read.map((link) => [`${link.shard}/${link.entryId}`, link]));
  for (const letter of await readLetters(query, accountIds)) {
    const at = `${letter.shard}/${letter.entryId}`;
    const entry = byEntry.get(at);
    byEntry.set(at, entry === undefined ? letter : { ...entry, standing: "dead_lettered" });
  }
  const links = [...byEntry.values()];
  const settled = new Set<OpenLink>();
  for (let at = 0; at < links.length; at += ROWS_AT_ONCE)
    for (const link of await findSettled(query, links.slice(at, at + ROWS_AT_ONCE))) settled.add(link);
  for (const link of settled) open.drop(link);
  const left = await markWrittenOff(
    query,
    links.filter((link) => !settled.has(link)),
  );
  const once = new Map<string, OpenLink>();
  for (const link of left) once.set(nameOf(link), link);
  return [...once.values()];
}

/** Until a repair has taken it out of the stream, an entry that was written off looks like one that nobody settled. */
async function markWrittenOff(query: Query, links: readonly OpenLink[]): Promise<OpenLink[]> {
  const accountIds = new Set(links.flatMap((link) => (link.standing === "unaccounted" ? [link.accountId] : [])));
  if (accountIds.size === 0) return [...links];
  const writtenOff = new Set((await readWrittenOff(query, [...accountIds])).map(nameOf));
  return links.map((link) => (writtenOff.has(nameOf(link)) ? { ...link, standing: "written_off" as const } : link));
}

function nameOf({ accountId, name, seq, amountNanos }: OpenLink): string {
  return `${accountId}/${name}/${seq}/${amountNanos}`;
}

async function findSettled(query: Query, links: readonly OpenLink[]): Promise<OpenLink[]> {
  if (links.length === 0) return [];
  const column = <T>(read: (link: OpenLink) => T) => links.map(read);
  const rows = await query<{ n: string }>(
    `WITH open AS (
       SELECT * FROM unnest($1::bool[], $2::text[], $3::uuid[], $4::numeric[], $5::bigint[], $6::text[], $7::text[])
         WITH ORDINALITY AS e(usage, name, account_id, amount, seq, stream_key, entry_id, n))
     SELECT e.n FROM open e JOIN data.usage_log u ON u.deduction_id = e.name AND u.account_id = e.account_id AND u.cost = -e.amount
        AND u.account_seq IS NOT DISTINCT FROM e.seq AND u.settled_at IS NOT NULL
      WHERE e.usage
     UNION ALL
     SELECT e.n FROM open e JOIN data.account_balance b ON b.id = e.account_id AND e.seq <= b.closed_seq WHERE e.usage
     UNION ALL
     SELECT e.n FROM open e JOIN data.account_balance_audit a ON a.account_id = e.account_id AND a.account_seq = e.seq
        AND a.stream_key = e.stream_key AND a.stream_entry_id = e.entry_id
      WHERE NOT e.usage`,
    [
      column((link) => link.kind === "usage"),
      column((link) => link.name),
      column((link) => link.accountId),
      column((link) => formatUnits(link.amountNanos)),
      column((link) => link.seq?.toString() ?? null),
      column((link) => streamKey(link.shard)),
      column((link) => link.entryId),
    ],
  );
  return rows.flatMap(({ n }) => links[Number(n) - 1] ?? []);
}

const letterColumns = `stream_key, stream_entry_id, deduction_id, lower(account_id) AS account_id, cost, account_seq, balance_before,
  balance_after, fields->>'kind' AS kind, fields->>'amount' AS amount, fields->>'credits_version' AS version`;

type LetterRow = Record<
  "stream_key" | "stream_entry_id" | "deduction_id" | "account_id" | "account_seq",
  string | null
> &
  Record<"cost" | "balance_before" | "balance_after" | "kind" | "amount" | "version", string | null>;

async function readLetters(query: Query, accountIds: readonly string[]): Promise<OpenLink[]> {
  const rows = await query<LetterRow>(
    `SELECT ${letterColumns} FROM data.dead_letter
      WHERE account_id = ANY($1::text[]) AND account_seq IS NOT NULL AND state <> 'replayed'`,
    [accountIds],
  );
  return rows.flatMap((row) => readLetter(row, "dead_lettered") ?? []);
}

/** The dead letters of these accounts whose cost was given back: links that the books do not have, and need not. */
export async function readWrittenOff(query: Query, accountIds: readonly string[]): Promise<OpenLink[]> {
  const rows = await query<LetterRow>(
    `SELECT ${letterColumns} FROM data.dead_letter d
      WHERE account_id = ANY($1::text[]) AND account_seq IS NOT NULL AND history @> '[{"act": "written_off"}]'
        AND NOT EXISTS (SELECT FROM data.usage_log u WHERE u.deduction_id = d.deduction_id AND u.account_id::text = d.account_id
              AND u.account_seq = d.account_seq AND u.settled_at IS NOT NULL)`,
    [accountIds],
  );
  return rows.flatMap((row) => readLetter(row, "written_off") ?? []);
}

/** A dead letter as the link it would be. Undefined when no money of ours can be read from it. */
function readLetter(row: LetterRow, standing: OpenStanding): OpenLink | undefined {
  const shard = shardOfStream(row.stream_key ?? "");
  const kind = row.kind === "credit" || row.kind === "repair" ? row.kind : "usage";
  const amount = kind === "usage" ? nanosOf(row.cost) : nanosOf(row.amount);
  const name = kind === "usage" ? row.deduction_id : row.stream_entry_id;
  if (shard === undefined || amount === null || name === null || row.account_id === null) return undefined;
  return {
    shard,
    entryId: row.stream_entry_id ?? "",
    kind,
    name,
    accountId: row.account_id,
    seq: BigInt(row.account_seq ?? "0"),
    amountNanos: kind === "usage" ? -amount : amount,
    beforeNanos: nanosOf(row.balance_before),
    afterNanos: nanosOf(row.balance_after),
    version: kind === "credit" && /^\d{1,18}$/.test(row.version ?? "") ? BigInt(row.version ?? "") : null,
    standing,
  };
}

/** Null for what is no amount: a dead letter may hold anything. */
function nanosOf(text: string | null): bigint | null {
  try {
    return text === null ? null : parseUnits(text);
  } catch {
    return null;
  }
}
