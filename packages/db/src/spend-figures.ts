// What an account's page draws: its balance over time, and what it spent by day, model and key. Both are bounded however long the account's
// history is: the balance is asked of the chain at so many moments, and spend is added up over the newest deductions of the period, at most
// so many; whether that was all of them is said.
import { seqAtSql } from "./audit-trail.ts";
import type { Db } from "./connect.ts";
import { readClosing } from "./retention.ts";

/** From, up to and without `to`. */
export type Period = { from: Date; to: Date };

/** The balance at the end of a step, by the chain; null before the first link that is kept. */
export type BalancePoint = { at: Date; balance: string | null; seq: string };

const POINTS_MAX = 500;

/** The balance at `points` moments of the period, evenly apart, the last one its end. */
export async function readBalanceOverTime(
  db: Db,
  accountId: string,
  { from, to }: Period,
  points: number,
): Promise<BalancePoint[]> {
  const count = Math.max(1, Math.min(POINTS_MAX, Math.trunc(points)));
  const stepMs = (to.getTime() - from.getTime()) / count;
  const moments = Array.from({ length: count }, (_, i) => Math.round(from.getTime() + stepMs * (i + 1)));
  const { rows } = await db.$client.query<{ at: string; balance: string | null; seq: string }>(
    `SELECT m.at, s.seq, (SELECT a.balance_after FROM data.account_balance_audit a WHERE a.account_id = $1 AND a.account_seq = s.seq
                             AND a.account_seq > (SELECT closed_seq FROM data.account_balance WHERE id = $1)
                           ORDER BY a.id DESC LIMIT 1) AS balance
       FROM unnest($2::bigint[]) WITH ORDINALITY AS m(at, n)
      CROSS JOIN LATERAL (SELECT ${seqAtSql("$1::uuid", "m.at")} AS seq OFFSET 0) s ORDER BY m.n`,
    [accountId, moments],
  );
  return rows.map(({ at, balance, seq }) => ({ at: new Date(Number(at)), balance, seq }));
}

/** `cost` in units with 9 decimals; counts as decimal text. */
export type Spend = {
  cost: string;
  deductions: string;
  inputTokens: string;
  outputTokens: string;
  totalTokens: string;
};

export type SpendFigures = {
  total: Spend;
  /** Days with deductions, in the zone asked for, as YYYY-MM-DD, oldest first. */
  byDay: ({ day: string } & Spend)[];
  /** The hundred that cost most. */
  byModel: ({ provider: string; model: string } & Spend)[];
  byKey: ({ virtualKey: string } & Spend)[];
  /**
   * Null: all of the period is added up. Else only what was charged from this moment on, which is as much as one reading may look at, or as
   * retention has left.
   */
  since: Date | null;
};

/** Some 100 ms of an index in memory. */
const DEDUCTIONS_MAX = 50_000;
const GROUPS_MAX = 100;

type Row = Spend & {
  kind: "total" | "day" | "model" | "key";
  day: string | null;
  provider: string | null;
  model: string | null;
  virtualKey: string | null;
};

/** What an account spent in a period: its settled deductions. Throws `RangeError` for a zone that is none. */
export async function readSpend(
  db: Db,
  accountId: string,
  period: Period,
  zone: string,
  options: { deductionsMax?: number } = {},
): Promise<SpendFigures> {
  checkZone(zone);
  const most = options.deductionsMax ?? DEDUCTIONS_MAX;
  const values = [accountId, period.from, period.to];
  const { rows } = await db.$client.query<Row>(
    // Added up once into few cells, and those by day, by model and by key.
    `WITH cell AS MATERIALIZED (
       SELECT (created_at AT TIME ZONE $4)::date AS day, provider, model, virtual_key, sum(cost) AS cost, count(*) AS deductions,
              sum(input_tokens) AS input, sum(output_tokens) AS output, sum(total_tokens) AS total
         FROM (SELECT * FROM ${newest} LIMIT $5) newest WHERE settled_at IS NOT NULL GROUP BY 1, 2, 3, 4)
     SELECT CASE WHEN day IS NOT NULL THEN 'day' WHEN model IS NOT NULL THEN 'model' WHEN virtual_key IS NOT NULL THEN 'key' ELSE 'total' END AS kind,
            day::text AS day, provider, model, virtual_key AS "virtualKey", cost, deductions, input AS "inputTokens", output AS "outputTokens",
            total AS "totalTokens"
       FROM (SELECT day, provider, model, virtual_key, coalesce(sum(cost), 0.000000000) AS cost, coalesce(sum(deductions), 0) AS deductions,
                    coalesce(sum(input), 0) AS input, coalesce(sum(output), 0) AS output, coalesce(sum(total), 0) AS total,
                    row_number() OVER (PARTITION BY grouping(day), grouping(model), grouping(virtual_key) ORDER BY sum(cost) DESC) AS place
               FROM cell GROUP BY GROUPING SETS ((day), (provider, model), (virtual_key), ())) g
      WHERE place <= $6 OR day IS NOT NULL ORDER BY day, cost DESC`,
    [...values, zone, most, GROUPS_MAX],
  );
  const { rows: left } = await db.$client.query<{ at: Date }>(
    `SELECT created_at AS at FROM ${newest} OFFSET $4 LIMIT 2`,
    [...values, most - 1],
  );
  const closing = await readClosing(db, accountId);
  const removedUpTo = closing !== undefined && closing.at >= period.from ? closing.at : null;
  return {
    total: spendOf(rows.find(({ kind }) => kind === "total")),
    byDay: rows.flatMap((row) => (row.day === null ? [] : [{ day: row.day, ...spendOf(row) }])),
    byModel: rows.flatMap((row) =>
      row.provider === null || row.model === null
        ? []
        : [{ provider: row.provider, model: row.model, ...spendOf(row) }],
    ),
    byKey: rows.flatMap((row) => (row.virtualKey === null ? [] : [{ virtualKey: row.virtualKey, ...spendOf(row) }])),
    since: left.length === 2 ? (left[0]?.at ?? null) : removedUpTo,
  };
}

const newest = `data.usage_log WHERE account_id = $1 AND created_at >= $2 AND created_at < $3 ORDER BY created_at DESC, id DESC`;

function spendOf(row: Spend | undefined): Spend {
  return {
    cost: row?.cost ?? "0.000000000",
    deductions: row?.deductions ?? "0",
    inputTokens: row?.inputTokens ?? "0",
    outputTokens: row?.outputTokens ?? "0",
    totalTokens: row?.totalTokens ?? "0",
  };
}

/** Postgres would say so too, but as a failure of the query. */
function checkZone(zone: string): void {
  Intl.DateTimeFormat("en", { timeZone: zone });
}
