// What the first page draws beside the figures of the streams: the pace of charging, refusals, alerts, dead letters and what was served
// and not captured. Each is read from an index and counted to a bound, so that the page costs the same with any number of rows.
import type { Db } from "./connect.ts";
import type { Count } from "./pages.ts";

const COUNT_MAX = 10_000;
/** Some 50 ms of the index of times. */
const CHARGES_MAX = 100_000;

/** Deductions in the books by the second of their charge. `charges` is null where more happened since than one reading may count. */
export type ChargePoint = { from: Date; charges: number | null };

/** `buckets` even parts of the last `seconds`. */
export type Span = { seconds: number; buckets: number };

/** Oldest first. What is not settled yet is not counted. */
export async function readChargeSeries(db: Db, span: Span): Promise<ChargePoint[]> {
  const newest = `SELECT created_at AS at FROM data.usage_log WHERE id > 0 AND created_at > (SELECT start FROM span) AND created_at <= now()
                   ORDER BY created_at DESC, id DESC LIMIT $4`;
  return (await readSeries(db, span, newest)).map(({ from, count }) => ({ from, charges: count }));
}

/** Deductions by the second in which they were settled, as `ChargePoint`; oldest first. */
export async function readSettledSeries(db: Db, span: Span): Promise<{ from: Date; settled: number | null }[]> {
  const newest = `SELECT settled_at AS at FROM (SELECT settled_at FROM data.usage_log ORDER BY id DESC LIMIT $4) n
                   WHERE settled_at > (SELECT start FROM span) AND settled_at <= now()`;
  return (await readSeries(db, span, newest)).map(({ from, count }) => ({ from, settled: count }));
}

/** `newest`: at most $4 moments within the span. */
async function readSeries(db: Db, span: Span, newest: string): Promise<{ from: Date; count: number | null }[]> {
  const buckets = Math.max(1, Math.min(600, Math.trunc(span.buckets)));
  const width = span.seconds / buckets;
  const { rows } = await db.$client.query<{ from: Date; count: string | null }>(
    `WITH span AS (SELECT now() - $1 * interval '1 second' AS start),
          newest AS (${newest}),
          counted AS (SELECT floor(extract(epoch FROM at - (SELECT start FROM span)) / $3)::int AS n, count(*) AS found FROM newest GROUP BY 1),
          reach AS (SELECT CASE WHEN count(*) = $4 THEN min(at) END AS start FROM newest)
     SELECT start + n * $3 * interval '1 second' AS "from",
            CASE WHEN start + n * $3 * interval '1 second' > (SELECT coalesce(start, '-infinity') FROM reach) THEN coalesce(found, 0) END AS count
       FROM span CROSS JOIN generate_series(0, $2::int - 1) AS n LEFT JOIN counted USING (n) ORDER BY n`,
    [span.seconds, buckets, width, CHARGES_MAX],
  );
  return rows.map(({ from, count }) => ({ from, count: count === null ? null : Number(count) }));
}

/** Rows looked at for the rate of settling: the newest by id, so that the answer takes no longer with more rows. */
const RATE_ROWS = 10_000;
const RATE_WINDOW_S = 10;

/** Deductions settled per second of the last ten; links are not counted. */
export async function readSettledPerSecond(db: Db): Promise<number> {
  const { rows } = await db.$client.query<{ settled: string; since_s: number }>(
    `SELECT count(*) AS settled, CASE WHEN count(*) < $1 THEN $2 ELSE extract(epoch FROM now() - min(settled_at)) END::float8 AS since_s
       FROM (SELECT settled_at FROM data.usage_log ORDER BY id DESC LIMIT $1) newest
      WHERE settled_at > now() - make_interval(secs => $2)`,
    [RATE_ROWS, RATE_WINDOW_S],
  );
  return Number(rows[0]?.settled ?? 0) / Math.max(0.001, rows[0]?.since_s ?? RATE_WINDOW_S);
}

export type OverviewFigures = {
  /** Requests refused for want of money in the last hour. */
  refusals: Count;
  /** Of the last day; amounts are what was set aside, by currency, as units with 9 decimals. */
  uncaptured: { holds: Count; amounts: { currency: string; amount: string }[] };
  openAlerts: { critical: number; warning: number };
  /** Open ones by their class of error. */
  deadLetters: { errorClass: string; letters: Count }[];
  /** Operations that are not finished. */
  unfinishedOperations: Count;
  accounts: { frozen: Count };
};

export async function readOverviewFigures(db: Db): Promise<OverviewFigures> {
  const [refusals, unfinished, frozen, uncaptured, alerts, deadLetters] = await Promise.all([
    bounded(db, "data.refusal WHERE created_at > now() - interval '1 hour'"),
    bounded(db, "data.operator_action WHERE finished_at IS NULL"),
    bounded(db, "data.account_balance WHERE status = 'frozen'"),
    readUncaptured(db),
    db.$client.query<{ level: string; alerts: string }>(
      `SELECT level, count(*) AS alerts FROM (SELECT level FROM data.alert WHERE resolved_at IS NULL LIMIT ${COUNT_MAX}) a GROUP BY level`,
    ),
    countLettersByClass(db),
  ]);
  const open = (level: string) => Number(alerts.rows.find((row) => row.level === level)?.alerts ?? 0);
  return {
    refusals,
    uncaptured,
    openAlerts: { critical: open("critical"), warning: open("warning") },
    deadLetters,
    unfinishedOperations: unfinished,
    accounts: { frozen },
  };
}

async function bounded(db: Db, from: string): Promise<Count> {
  const { rows } = await db.$client.query<{ found: string }>(
    `SELECT count(*) AS found FROM (SELECT 1 FROM ${from} LIMIT ${COUNT_MAX + 1}) x`,
  );
  return countOf(rows[0]?.found);
}

function countOf(found: string | undefined): Count {
  const count = Number(found ?? 0);
  return { count: Math.min(count, COUNT_MAX), exact: count <= COUNT_MAX };
}

/** What was captured late after all is in the books under the hold's id. */
async function readUncaptured(db: Db): Promise<OverviewFigures["uncaptured"]> {
  const { rows } = await db.$client.query<{ currency: string; amount: string; holds: string }>(
    `SELECT coalesce((SELECT b.currency FROM data.account_balance b WHERE b.id = h.account_id), '') AS currency, sum(amount) AS amount,
            count(*) AS holds
       FROM (SELECT account_id, amount FROM data.uncaptured_hold h WHERE expired_at > now() - interval '1 day'
                AND (SELECT true FROM data.usage_log u WHERE u.deduction_id = h.hold_id) IS NULL ORDER BY expired_at DESC LIMIT ${COUNT_MAX + 1}) h
      GROUP BY 1 ORDER BY 1`,
  );
  const holds = rows.reduce((sum, row) => sum + Number(row.holds), 0);
  return { holds: countOf(String(holds)), amounts: rows.map(({ currency, amount }) => ({ currency, amount })) };
}

/** From class to class by the index, a bounded count of each. */
export async function countLettersByClass(
  db: Db,
  state: "open" | "discarded" | "replayed" = "open",
): Promise<{ errorClass: string; letters: Count }[]> {
  const { rows } = await db.$client.query<{ errorClass: string; letters: string }>(
    `WITH RECURSIVE class(name) AS (
       (SELECT error_class FROM data.dead_letter WHERE state = $1 ORDER BY error_class LIMIT 1)
       UNION ALL
       SELECT (SELECT error_class FROM data.dead_letter WHERE state = $1 AND error_class > class.name ORDER BY error_class LIMIT 1)
         FROM class WHERE class.name IS NOT NULL)
     SELECT name AS "errorClass", (SELECT count(*) FROM (SELECT 1 FROM data.dead_letter WHERE state = $1 AND error_class = name
                                                         LIMIT ${COUNT_MAX + 1}) d) AS letters
       FROM class WHERE name IS NOT NULL LIMIT 100`,
    [state],
  );
  return rows.map(({ errorClass, letters }) => ({ errorClass, letters: countOf(letters) }));
}
