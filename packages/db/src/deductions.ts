// The deductions page: usage_log by time, with what each row was before and after. One filter chooses the index, the rest is judged on
// its rows (pages.ts). The most telling one is taken: what is unusual is rare, a key is part of an account, a model part of a provider.

import { isUuid } from "./accounts.ts";
import type { Db } from "./connect.ts";
import { given, type Key, type Listing, listOf, type Sql } from "./pages.ts";

export type DeductionFilters = {
  /** `account_balance.id`. */
  accountId?: string;
  virtualKey?: string;
  provider?: string;
  model?: string;
  /** Charged at or after, and before, these moments. */
  from?: Date;
  to?: Date;
  balanceCheck?: "ok" | "missing" | "mismatch";
  /** `unknown`: an older producer's row, which does not say. */
  usageSource?: "provider" | "partial" | "estimated" | "none" | "reported" | "unknown";
  settled?: boolean;
  /** The price list's customer type is another than the account's. */
  customerTypeMismatch?: boolean;
  /** Drawn by an older producer: no link of the account's chain. */
  olderProducer?: boolean;
  /** Exactly this deduction, request, stream entry or usage_log row. */
  id?: string;
};

/** A row of usage_log with its account's owner. Amounts are units with 9 decimals; 64-bit numbers, token counts too, decimal text. */
export type Deduction = {
  id: string;
  deductionId: string;
  virtualKey: string;
  accountId: string;
  accountType: string;
  ownerId: string | null;
  ownerName: string | null;
  provider: string;
  model: string;
  cost: string;
  currency: string;
  createdAt: Date;
  inputTokens: string | null;
  outputTokens: string | null;
  totalTokens: string | null;
  metadata: unknown;
  syncStatus: string;
  balanceBefore: string | null;
  balanceAfter: string | null;
  accountSeq: string | null;
  requestId: string | null;
  usageSource: string | null;
  streamKey: string | null;
  streamEntryId: string | null;
  consumer: string | null;
  deliveryCount: number | null;
  settledAt: Date | null;
  balanceCheck: string | null;
};

const table = "data.usage_log";
const keys: readonly Key[] = [
  { column: "x.created_at", type: "timestamptz" },
  { column: "x.id", type: "bigint" },
];

/** Of `x`, a usage_log row. */
const deductionColumns = `x.id, x.deduction_id AS "deductionId", x.virtual_key AS "virtualKey", x.account_id AS "accountId",
  x.account_type AS "accountType", x.provider, x.model, x.cost, x.currency, x.created_at AS "createdAt", x.input_tokens AS "inputTokens",
  x.output_tokens AS "outputTokens", x.total_tokens AS "totalTokens", x.metadata_json AS metadata, x.sync_status AS "syncStatus",
  x.balance_before AS "balanceBefore", x.balance_after AS "balanceAfter", x.account_seq AS "accountSeq", x.request_id AS "requestId",
  x.usage_source AS "usageSource", x.stream_key AS "streamKey", x.stream_entry_id AS "streamEntryId", x.consumer,
  x.delivery_count AS "deliveryCount", x.settled_at AS "settledAt", x.balance_check AS "balanceCheck"`;

/** The owner of `account`, by look-ups: joined, the planner may read whole tables for the fifty rows of a page. */
function ownerOf(account: string): string {
  return `LEFT JOIN LATERAL (
    SELECT coalesce(b.owner_tenantid, b.owner_userid) AS id,
           coalesce((SELECT t.name FROM data.tenant t WHERE t.id = b.owner_tenantid),
                    (SELECT coalesce(u.name, u.email) FROM data.user_profile u WHERE u.id = b.owner_userid)) AS name
      FROM data.account_balance b WHERE b.id = ${account} LIMIT 1) owner ON true`;
}

/** Names the index of times (see the schema). */
const everything: Sql = () => "x.id > 0";

const unknownSource: Sql = () => "x.usage_source IS NULL AND x.usage_source IS DISTINCT FROM 'provider'";

/** What the filters ask, in the order in which it chooses the index. */
function servedConditions(filters: DeductionFilters): Sql[] {
  const { id, accountId, virtualKey, provider, model, balanceCheck, usageSource } = filters;
  const served: Sql[] = [];
  if (id !== undefined) served.push(exactly(id));
  if (filters.settled === false) served.push(() => "x.settled_at IS NULL");
  if (filters.customerTypeMismatch === true) served.push(() => `x.metadata_json @> '{"customer_type_mismatch": true}'`);
  if (balanceCheck !== undefined && balanceCheck !== "ok")
    served.push((bind) => `x.balance_check = ${bind(balanceCheck)} AND x.balance_check <> 'ok'`);
  if (virtualKey !== undefined) served.push((bind) => `x.virtual_key = ${bind(virtualKey)}`);
  if (accountId !== undefined)
    served.push((bind) => (isUuid(accountId) ? `x.account_id = ${bind(accountId)}::uuid` : "false"));
  if (usageSource === "unknown") served.push(unknownSource);
  else if (usageSource !== undefined && usageSource !== "provider")
    served.push((bind) => `x.usage_source = ${bind(usageSource)} AND x.usage_source IS DISTINCT FROM 'provider'`);
  if (model !== undefined) served.push((bind) => `x.model = ${bind(model)}`);
  if (provider !== undefined) served.push((bind) => `x.provider = ${bind(provider)}`);
  return served;
}

/** What is true of nearly every row, and needs no index. */
function commonConditions(filters: DeductionFilters): Sql[] {
  const { settled, customerTypeMismatch, balanceCheck, usageSource, olderProducer } = filters;
  const common: Sql[] = [];
  if (settled === true) common.push(() => "x.settled_at IS NOT NULL");
  if (customerTypeMismatch === false)
    common.push(() => `NOT coalesce(x.metadata_json @> '{"customer_type_mismatch": true}', false)`);
  if (balanceCheck === "ok") common.push(() => "x.balance_check = 'ok'");
  if (usageSource === "provider") common.push(() => "x.usage_source = 'provider'");
  if (olderProducer !== undefined) common.push((bind) => `(x.account_seq IS NULL) = ${bind(olderProducer)}::boolean`);
  return common;
}

/** The ids of the rows that have it, by an index of each kind of id. */
function exactly(id: string): Sql {
  return (bind) => {
    const text = `${bind(id)}::text`;
    const number = bind(/^\d{1,18}$/.test(id) ? id : null);
    return `x.id IN (SELECT id FROM ${table} WHERE deduction_id = ${text} UNION ALL SELECT id FROM ${table} WHERE request_id = ${text}
      UNION ALL SELECT id FROM ${table} WHERE stream_entry_id = ${text} UNION ALL SELECT id FROM ${table} WHERE id = ${number}::bigint)`;
  };
}

function listingOf(filters: DeductionFilters): Listing {
  const [driving, ...judged] = servedConditions(filters);
  return {
    from: () => `${table} x`,
    where: [
      driving ?? everything,
      ...given(filters.from, (from) => (bind) => `x.created_at >= ${bind(from)}::timestamptz`),
      ...given(filters.to, (to) => (bind) => `x.created_at < ${bind(to)}::timestamptz`),
    ],
    residual: [...judged, ...commonConditions(filters)],
    keys,
    // By id there are a few, wherever they are.
    walked: filters.id === undefined,
    ...(driving === unknownSource ? { lead: "x.usage_source" } : {}),
    columns: `${deductionColumns}, owner.id AS "ownerId", owner.name AS "ownerName"`,
    joins: ownerOf("x.account_id"),
  };
}

// By id: a row's own time is when it was charged, which may be long before it came into the books.
const deductions = listOf<DeductionFilters, Deduction>({ column: "x.id", type: "bigint", table }, listingOf);

/** Deductions by the time of their charge. Throws `InvalidPage`, and what the driver throws. */
export const listDeductions = deductions.page;
/** How many deductions the filters find within the window. */
export const countDeductions = deductions.count;
/** How many deductions that the filters find came into the books since the window was pinned. */
export const countNewerDeductions = deductions.newer;

/** JSON as Postgres writes it: a number in the metadata may have more digits than one of JavaScript. Null: there is no such row. */
export type UsageTexts = { usageLog: string | null; metadata: string | null; audit: string | null };

/** A deduction's rows to the last digit, by the ids of its rows. */
export async function readUsageTexts(db: Db, usageLogId: string | null, auditId: string | null): Promise<UsageTexts> {
  const { rows } = await db.$client.query<UsageTexts>(
    `SELECT (SELECT row_to_json(x)::text FROM data.usage_log x WHERE x.id = $1) AS "usageLog",
            (SELECT x.metadata_json::text FROM data.usage_log x WHERE x.id = $1) AS metadata,
            (SELECT row_to_json(x)::text FROM data.account_balance_audit x WHERE x.id = $2) AS audit`,
    [usageLogId, auditId],
  );
  return rows[0] ?? { usageLog: null, metadata: null, audit: null };
}
