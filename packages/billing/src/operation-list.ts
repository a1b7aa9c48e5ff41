// The operations page, and the items of one bulk act.
import { given, listOf, type Page, type PageRequest } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import {
  type ItemOutcome,
  listItems,
  type Operation,
  type OperationItem,
  type OperationRow,
  operationColumns,
  readOperation,
  readOperationRow,
} from "./operations.ts";
import { fromBooks, queryOf } from "./postgres.ts";
import { isUuid } from "./stream.ts";

export type OperationListFilters = {
  actor?: string;
  action?: string;
  state?: "unfinished" | "finished";
  /** Begun at or after, and before, these moments. */
  from?: Date;
  to?: Date;
};

const operations = listOf<OperationListFilters, OperationRow>(
  { column: "x.started_at", type: "timestamptz" },
  ({ actor, action, state, from, to }) => {
    const bySubject = given(actor, (value) => (bind) => `x.actor = ${bind(value)}`);
    const byAction = given(action, (value) => (bind) => `x.action = ${bind(value)}`);
    const unfinished = state === "unfinished";
    return {
      from: () => "data.operator_action x",
      where: [
        ...(unfinished ? [() => "x.finished_at IS NULL"] : actor === undefined ? byAction : bySubject),
        ...given(from, (value) => (bind) => `x.started_at >= ${bind(value)}::timestamptz`),
        ...given(to, (value) => (bind) => `x.started_at < ${bind(value)}::timestamptz`),
      ],
      residual: [
        ...(unfinished ? bySubject : []),
        ...(unfinished || actor !== undefined ? byAction : []),
        ...(state === "finished" ? [() => "x.finished_at IS NOT NULL"] : []),
      ],
      keys: [
        { column: "x.started_at", type: "timestamptz" },
        { column: "x.id", type: "uuid" },
      ],
      columns: operationColumns,
    };
  },
);

/** Acts by when they began. Throws `InvalidPage`, `postgres_unavailable`. */
export async function pageOperations(
  billing: Pick<Billing, "db">,
  filters: OperationListFilters,
  request: PageRequest,
): Promise<Page<Operation>> {
  const page = await fromBooks(operations.page(billing.db, filters, request));
  return { ...page, rows: page.rows.map(readOperationRow) };
}

export const countOperations = operations.count;
export const countNewerOperations = operations.newer;

const ACCOUNT_OPERATIONS_MAX = 200;

/**
 * What operators did to one account, the newest first, at most 200: credits, refunds, limits and statuses by the audit rows that they
 * wrote in the same transaction, and so of the same time; accepted breaks and repairs by their targets. Throws `postgres_unavailable`.
 */
export async function listAccountOperations(billing: Pick<Billing, "db">, accountId: string): Promise<Operation[]> {
  if (!isUuid(accountId)) return [];
  const rows = await queryOf(billing.db)<OperationRow>(
    `SELECT ${operationColumns} FROM data.operator_action x WHERE x.id = ANY(ARRAY(
       SELECT o.id FROM (SELECT id, created_at FROM data.account_balance_audit
                          WHERE account_id = $1 AND credits_version IS NOT NULL ORDER BY credits_version DESC LIMIT $3) u
         JOIN data.operator_action o ON o.started_at = u.created_at
        WHERE o.targets ? $2 OR o.result->>'audit_id' = u.id::text
       UNION
       SELECT o.id FROM data.operator_action o
        WHERE o.action IN ('accept', 'repair') AND EXISTS (SELECT FROM jsonb_array_elements_text(o.targets) t WHERE starts_with(t, $2))))
     ORDER BY x.started_at DESC, x.id DESC LIMIT $3`,
    [accountId, accountId, ACCOUNT_OPERATIONS_MAX],
  );
  return rows.map(readOperationRow);
}

export type ItemFilters = { operationId: string; outcome?: ItemOutcome | "left" };

// Targets are frozen with their act: none is ever newer.
const items = listOf<ItemFilters, OperationItem>(
  {
    column: "(SELECT a.started_at FROM data.operator_action a WHERE a.id = x.operation_id)",
    type: "timestamptz",
  },
  ({ operationId, outcome }) => ({
    from: () => "data.operation_item x",
    where: [(bind) => `x.operation_id = ${bind(operationId)}::uuid`],
    residual: given(outcome, (value) => (bind) => `coalesce(x.outcome, 'left') = ${bind(value)}`),
    keys: [{ column: "x.n", type: "bigint" }],
    columns: `x.n, x.target, x.outcome, x.detail, x.finished_at AS "finishedAt"`,
  }),
);

/** An act's targets with their outcomes; `oldest` is their own order. */
export async function pageOperationItems(
  billing: Pick<Billing, "db">,
  filters: ItemFilters,
  request: PageRequest,
): Promise<Page<OperationItem>> {
  return await fromBooks(items.page(billing.db, filters, request));
}

export const countOperationItems = items.count;

export type OperationRecord = {
  operation: Operation;
  /** The names of its targets: the first of them, and how many there are. */
  targets: { names: string[]; total: number };
  /** As it was frozen; null for an act that is no bulk act. */
  firstTarget: Record<string, unknown> | null;
};

const NAMES = 200;

/** One act as its page shows it, from the books alone; undefined when there is none of this id. Throws `postgres_unavailable`. */
export async function readOperationRecord(
  { db }: Pick<Billing, "db">,
  id: string,
): Promise<OperationRecord | undefined> {
  const query = queryOf(db);
  const operation = isUuid(id) ? await readOperation(query, id) : undefined;
  if (operation === undefined) return undefined;
  const [targets] = await query<OperationRecord["targets"]>(
    `SELECT coalesce((SELECT jsonb_agg(t.name ORDER BY t.n)
                        FROM jsonb_array_elements_text(x.targets) WITH ORDINALITY AS t(name, n) WHERE t.n <= $2), '[]') AS names,
            jsonb_array_length(x.targets) AS total
       FROM data.operator_action x WHERE x.id = $1`,
    [id, NAMES],
  );
  const [first] = await listItems(query, id, {}, { limit: 1 });
  return { operation, targets: targets ?? { names: [], total: 0 }, firstTarget: first?.target ?? null };
}
