// Lists by keyset, within a pinned window: what arrives after the first page was read never appears, so that no row is seen twice or
// missed while a reader pages. Every list reads one index in its order. A filter that no index serves is judged row by row, over at most
// `scanMax` rows a page: such a page may come back short, or empty, with a `next` that goes on searching. So no page costs more with more
// rows in the books. Cursors and pins are opaque texts.
import type pg from "pg";
import type { Db } from "./connect.ts";

export type PageRequest = {
  /** Rows of a page, 1 to 1,000. */
  limit: number;
  cursor?: string;
  /** Of the first page of this window. Absent: a new window is opened now. */
  pin?: string;
  /** `newest` by default. */
  order?: "newest" | "oldest";
};

export type Page<Row> = {
  rows: Row[];
  /** Null: nothing follows. */
  next: string | null;
  /** Null: this is where the list begins. */
  previous: string | null;
  /** To be given with each further request of the same window. */
  pin: string;
  /** Set when the page is short because the search was cut at this bound: `next` (or `previous`, read backwards) goes on from there. */
  searching: boolean;
};

/** Not `exact`: there are more than `count`. */
export type Count = { count: number; exact: boolean };

/** A cursor or pin that this list did not give. */
export class InvalidPage extends Error {
  constructor() {
    super("This page reference is not one of this list: start from the first page.");
    this.name = "InvalidPage";
  }
}

/** One column of a list's order. */
export type Key = { column: string; type: "timestamptz" | "bigint" | "text" | "uuid" };

/** Appends a value to a statement and returns its `$n`. */
export type Bind = (value: unknown) => string;

/** A part of a statement, which appends its own values. */
export type Sql = (bind: Bind) => string;

/** A list as SQL: its rows are aliased `x` throughout. */
export type Listing = {
  /** A table, or a subquery, as `… x`. */
  from: Sql;
  /** Conditions that the list's index serves. */
  where: Sql[];
  /** Conditions judged row by row, on `x` alone. */
  residual: Sql[];
  /** The list's order, and what its index is ordered by. The last one is unique. */
  keys: readonly Key[];
  /** The row's columns, from `x` and what `joins` adds to the few rows of the page. */
  columns: string;
  joins?: string;
  scanMax?: number;
  /** An index has the list's order whatever is filtered: Postgres is told to walk it, where it would rather sort the few rows that it expects. */
  walked?: boolean;
  /** A column before the keys in the index that is null in all of these rows. Unless it is named the planner sorts them: it knows of `=` alone. */
  lead?: string;
};

/** Rows looked through for one page, some 10 to 20 ms of an index in memory. */
const SCAN_MAX = 6_500;
const LIMIT_MAX = 1_000;
const COUNT_MAX = 10_000;
const COUNT_SCAN_MAX = 20_000;

type Side = ">" | ">=" | "<" | "<=";
type Place = { side: Side; at: string[] };

/** After, from, before or up to a place, in the list's own order. */
export function cursorAt(side: Side, at: readonly string[]): string {
  return Buffer.from(JSON.stringify([side, ...at])).toString("base64url");
}

function readCursor(cursor: string, keys: readonly Key[]): Place {
  const [side, ...at] = parseTexts(cursor);
  const known = side === ">" || side === ">=" || side === "<" || side === "<=";
  if (!known || at.length !== keys.length || !keys.every(({ type }, i) => shapes[type].test(at[i] ?? "")))
    throw new InvalidPage();
  return { side, at };
}

function parseTexts(cursor: string): string[] {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString());
    if (Array.isArray(parsed) && parsed.every((one) => typeof one === "string")) return parsed;
  } catch {} // not JSON
  throw new InvalidPage();
}

const shapes: Record<Key["type"], RegExp> = {
  timestamptz: /^(\d{4,6}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z|-?infinity)$/,
  bigint: /^-?\d{1,19}$/,
  text: /^[^\0]*$/,
  uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
};

/** Text from which the same value is read again: a Date has no microseconds. */
function textOf({ column, type }: Key): string {
  if (type !== "timestamptz") return `${column}::text`;
  return `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
}

export function checkPin(pin: string, type: Key["type"]): string {
  if (!shapes[type].test(pin)) throw new InvalidPage();
  return pin;
}

/** The pin of lists whose rows are dated by this server when they are written. */
export async function pinMoment(db: Db, request: Pick<PageRequest, "pin">): Promise<string> {
  if (request.pin !== undefined) return checkPin(request.pin, "timestamptz");
  const { rows } = await db.$client.query<{ pin: string }>(
    `SELECT ${textOf({ column: "clock_timestamp()", type: "timestamptz" })} AS pin`,
  );
  return rows[0]?.pin ?? "";
}

/** The pin of lists whose ids ascend as rows are written. */
async function pinId(db: Db, request: Pick<PageRequest, "pin">, table: string): Promise<string> {
  if (request.pin !== undefined) return checkPin(request.pin, "bigint");
  const { rows } = await db.$client.query<{ pin: string }>(`SELECT coalesce(max(id), 0)::text AS pin FROM ${table}`);
  return rows[0]?.pin ?? "0";
}

function binder(values: unknown[]): Bind {
  return (value) => `$${values.push(value)}`;
}

/** Reads one page. Throws `InvalidPage`, and what the driver throws. */
export async function readPage<Row extends object>(
  db: Db,
  listing: Listing,
  request: PageRequest,
  pin: string,
): Promise<Page<Row>> {
  const place = request.cursor === undefined ? undefined : readCursor(request.cursor, listing.keys);
  const backwards = place?.side.startsWith("<") ?? false;
  const limit = Math.max(1, Math.min(LIMIT_MAX, Math.trunc(request.limit)));
  const scan = { listing, order: request.order ?? "newest", place, backwards };
  const values: unknown[] = [];
  const bind = binder(values);
  const { sql, order } = scanOf(scan, bind);
  const text = `SELECT ${listing.columns}, ARRAY[${listing.keys.map(textOf).join(", ")}] AS "atKeys" FROM (
       SELECT x.* FROM (SELECT x.* ${sql} LIMIT ${listing.scanMax ?? SCAN_MAX}) x
        WHERE ${allOf(listing.residual, bind)} ORDER BY ${order} LIMIT ${limit + 1}) x
     ${listing.joins ?? ""} ORDER BY ${order}`;
  const { found, cut } = await read(db, listing, async (query) => {
    const rows = await query<Row & { atKeys: string[] }>(text, values);
    const searched = listing.residual.length > 0 && rows.length <= limit;
    return { found: rows, cut: searched ? await endOfScan(query, scan) : undefined };
  });
  const more = found.length > limit;
  const taken = found.slice(0, limit);
  const onward = more ? taken.at(-1)?.atKeys : cut;
  const back = taken[0]?.atKeys;
  const [ahead, behind] = backwards ? (["<", ">"] as const) : ([">", "<"] as const);
  const forth = onward === undefined ? null : cursorAt(ahead, onward);
  const opposite = place === undefined ? null : back ? cursorAt(behind, back) : cursorAt(flipped[place.side], place.at);
  const rows = (backwards ? taken.toReversed() : taken).map(({ atKeys: _atKeys, ...row }) => row as unknown as Row);
  return {
    rows,
    next: backwards ? opposite : forth,
    previous: backwards ? forth : opposite,
    pin,
    searching: cut !== undefined,
  };
}

/** Of an empty page: what the cursor left out is on the other side. */
const flipped: Record<Side, Side> = { ">": "<=", ">=": "<", "<": ">=", "<=": ">" };

type Scan = { listing: Listing; order: "newest" | "oldest"; place: Place | undefined; backwards: boolean };

/** The index's rows from the cursor on, and the order they come in. */
function scanOf({ listing, order: wanted, place, backwards }: Scan, bind: Bind): { sql: string; order: string } {
  const { from, where, keys } = listing;
  const descending = (wanted === "newest") !== backwards;
  const order = orderOf(listing, descending ? "DESC" : "ASC");
  const beyond: Sql = () => {
    if (place === undefined) return "true";
    const operator = `${descending ? "<" : ">"}${place.side.endsWith("=") ? "=" : ""}`;
    const at = keys.map(({ type }, i) => `${bind(place.at[i])}::${type}`);
    return `(${keys.map(({ column }) => column).join(", ")}) ${operator} (${at.join(", ")})`;
  };
  return { sql: `FROM ${from(bind)} WHERE ${allOf([...where, beyond], bind)} ORDER BY ${order}`, order };
}

function orderOf({ lead, keys }: Listing, direction: "ASC" | "DESC"): string {
  const columns = [...(lead === undefined ? [] : [lead]), ...keys.map(({ column }) => column)];
  return columns.map((column) => `${column} ${direction}`).join(", ");
}

function allOf(conditions: readonly Sql[], bind: Bind): string {
  return conditions.length === 0 ? "true" : conditions.map((condition) => condition(bind)).join(" AND ");
}

type Query = <R extends pg.QueryResultRow>(text: string, values: unknown[]) => Promise<R[]>;

/** Within `work` of a list that is walked Postgres does not sort, and all queries see the same rows: so a search ends where it was cut. */
async function read<T>(db: Db, { walked }: Listing, work: (query: Query) => Promise<T>): Promise<T> {
  if (!walked) return await work(async (text, values) => (await db.$client.query(text, values)).rows);
  const client = await db.$client.connect();
  let broken = true;
  try {
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL enable_sort = off");
    const found = await work(async (text, values) => (await client.query(text, values)).rows);
    await client.query("COMMIT");
    broken = false;
    return found;
  } finally {
    client.release(broken);
  }
}

/** Where a search was cut; undefined when it came to the end of the list. */
async function endOfScan(query: Query, scan: Scan): Promise<string[] | undefined> {
  const { keys, scanMax = SCAN_MAX } = scan.listing;
  const values: unknown[] = [];
  const { sql } = scanOf(scan, binder(values));
  const [last] = await query<{ at: string[] }>(
    `SELECT ARRAY[${keys.map(textOf).join(", ")}] AS at FROM (
       SELECT ${keys.map(({ column }) => column).join(", ")} ${sql} OFFSET ${scanMax - 1} LIMIT 1) x`,
    values,
  );
  return last?.at;
}

/** How many rows a listing has: exact to 10,000, and while the search for them stays within 20,000 rows. */
export async function countRows(db: Db, listing: Listing): Promise<Count> {
  const { from, where, residual } = listing;
  const searched = residual.length > 0;
  const values: unknown[] = [];
  const bind = binder(values);
  const text = `SELECT count(*) FILTER (WHERE hit) AS found, count(*) AS scanned FROM (
       SELECT ${allOf(residual, bind)} AS hit FROM ${from(bind)} WHERE ${allOf(where, bind)}
        ORDER BY ${orderOf(listing, "DESC")} LIMIT ${searched ? COUNT_SCAN_MAX : COUNT_MAX + 1}) x`;
  const [counted] = await read(db, listing, (query) => query<{ found: string; scanned: string }>(text, values));
  const found = Number(counted?.found ?? 0);
  const whole = Number(counted?.scanned ?? 0) < COUNT_SCAN_MAX || !searched;
  return { count: Math.min(found, COUNT_MAX), exact: found <= COUNT_MAX && whole };
}

/** What makes a row newer than a window: its id, or the moment when this server wrote it. */
type Pinned = { column: string; type: "bigint"; table: string } | { column: string; type: "timestamptz" };

/** The three readings of a list: a page, how many there are in its window, and how many came since. */
export function listOf<Filters, Row extends object>(pinned: Pinned, listing: (filters: Filters) => Listing) {
  const bounded = (filters: Filters, pin: string, operator: "<=" | ">"): Listing => {
    const whole = listing(filters);
    const bound: Sql = (bind) => `${pinned.column} ${operator} ${bind(pin)}::${pinned.type}`;
    if (operator === "<=") return { ...whole, where: [...whole.where, bound] };
    // What is newer is few, whatever else is asked of it.
    return { ...whole, where: [bound], residual: [...whole.where, ...whole.residual], keys: [pinned] };
  };
  return {
    page: async (db: Db, filters: Filters, request: PageRequest): Promise<Page<Row>> => {
      const pin = pinned.type === "bigint" ? await pinId(db, request, pinned.table) : await pinMoment(db, request);
      return await readPage<Row>(db, bounded(filters, pin, "<="), request, pin);
    },
    count: async (db: Db, filters: Filters, pin: string): Promise<Count> =>
      await countRows(db, bounded(filters, checkPin(pin, pinned.type), "<=")),
    newer: async (db: Db, filters: Filters, pin: string): Promise<Count> =>
      await countRows(db, bounded(filters, checkPin(pin, pinned.type), ">")),
  };
}

/** Sorts after every text with the same beginning. */
export const LAST_CHARACTER = "chr(1114111)";

/** Whether a name, kept as the first 200 characters in the database's lower case, begins with the text; one range of its index. */
export function prefixRange(text: string, bind: Bind): (column: string) => string {
  const start = `left(lower(${bind(text)}::text), 200)`;
  return (column) => `${column} >= ${start} AND ${column} < ${start} || ${LAST_CHARACTER}`;
}

/** A condition that only some filters ask for. */
export function given<T>(value: T | undefined, condition: (value: T) => Sql): Sql[] {
  return value === undefined ? [] : [condition(value)];
}

/**
 * Every row of a list, page by page within one window: what an export streams. Memory is one page's. Stops reading when its reader stops.
 */
export async function* everyRow<Row>(
  list: (request: PageRequest) => Promise<Page<Row>>,
  order: "newest" | "oldest" = "newest",
): AsyncGenerator<Row, void, undefined> {
  let request: PageRequest = { limit: LIMIT_MAX, order };
  for (;;) {
    const page = await list(request);
    yield* page.rows;
    if (page.next === null) return;
    request = { limit: LIMIT_MAX, order, cursor: page.next, pin: page.pin };
  }
}
