// The dead letters page, newest first by id.
import type { Db } from "./connect.ts";
import { given, listOf, type Sql } from "./pages.ts";

export type DeadLetterFilters = {
  state?: "open" | "discarded" | "replayed";
  errorClass?: string;
  streamKey?: string;
  accountId?: string;
  /** Kept at or after, and before, these moments. */
  from?: Date;
  to?: Date;
  /** Exactly this letter, deduction or stream entry. */
  id?: string;
};

/** 64-bit numbers are decimal text, amounts units. Null: could not be read. */
export type DeadLetterListRow = {
  id: string;
  streamKey: string;
  entryId: string;
  fields: Record<string, string> | null;
  deductionId: string | null;
  accountId: string | null;
  cost: string | null;
  accountSeq: string | null;
  balanceBefore: string | null;
  balanceAfter: string | null;
  errorClass: string;
  errorMessage: string;
  attempts: number;
  state: "open" | "discarded" | "replayed";
  createdAt: Date;
  lastAttemptAt: Date;
  history: Record<string, string>[];
};

const table = "data.dead_letter";
const columns = `x.id, x.stream_key AS "streamKey", x.stream_entry_id AS "entryId", x.fields, x.deduction_id AS "deductionId",
  x.account_id AS "accountId", x.cost, x.account_seq AS "accountSeq", x.balance_before AS "balanceBefore", x.balance_after AS "balanceAfter",
  x.error_class AS "errorClass", x.error_message AS "errorMessage", x.attempts, x.state, x.created_at AS "createdAt",
  x.last_attempt_at AS "lastAttemptAt", x.history`;

function exactly(id: string): Sql {
  return (bind) => {
    const text = `${bind(id)}::text`;
    const number = bind(/^\d{1,18}$/.test(id) ? id : null);
    return `x.id IN (SELECT id FROM ${table} WHERE deduction_id = ${text} UNION ALL SELECT id FROM ${table} WHERE stream_entry_id = ${text}
      UNION ALL SELECT id FROM ${table} WHERE id = ${number}::bigint)`;
  };
}

const letters = listOf<DeadLetterFilters, DeadLetterListRow>(
  { column: "x.id", type: "bigint", table },
  ({ id, state, errorClass, streamKey, accountId, from, to }) => ({
    from: () => `${table} x`,
    where: [
      ...given(id, exactly),
      ...given(state, (value) => (bind) => `x.state = ${bind(value)}`),
      // The index of classes is by state first.
      ...(state === undefined ? [] : given(errorClass, (value) => (bind) => `x.error_class = ${bind(value)}`)),
    ],
    residual: [
      ...(state === undefined ? given(errorClass, (value) => (bind) => `x.error_class = ${bind(value)}`) : []),
      ...given(streamKey, (value) => (bind) => `x.stream_key = ${bind(value)}`),
      ...given(accountId, (value) => (bind) => `x.account_id = ${bind(value)}`),
      ...given(from, (value) => (bind) => `x.created_at >= ${bind(value)}::timestamptz`),
      ...given(to, (value) => (bind) => `x.created_at < ${bind(value)}::timestamptz`),
    ],
    keys: [{ column: "x.id", type: "bigint" }],
    columns,
  }),
);

/** Dead letters by when they were kept. Throws `InvalidPage`, and what the driver throws. */
export const pageDeadLetters = letters.page;
export const countDeadLetterPage = letters.count;
export const countNewerDeadLetters = letters.newer;

/** One letter with its raw bytes, as the stream had them; undefined when there is none of this id. */
export async function readDeadLetter(db: Db, id: string): Promise<(DeadLetterListRow & { raw: Buffer }) | undefined> {
  if (!/^\d{1,18}$/.test(id)) return undefined;
  const { rows } = await db.$client.query<DeadLetterListRow & { raw: Buffer }>(
    `SELECT ${columns}, x.raw FROM ${table} x WHERE x.id = $1`,
    [id],
  );
  return rows[0];
}
