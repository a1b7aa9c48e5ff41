// The keys page, of all accounts or of one. A search reads keys by the beginning of their id or name.
import { isUuid } from "./accounts.ts";
import { type Bind, given, type Key, LAST_CHARACTER, listOf, prefixRange, type Sql } from "./pages.ts";

export type KeyFilters = {
  /** The beginning of a key's id, or of its name, whatever its case. A search sorts by what was found. */
  search?: string;
  status?: "active" | "expired" | "revoked";
  /** The account that pays, or its owner. */
  accountId?: string;
};

/** A key without its secret. `spendLimit` is units with 9 decimals. Account and owner are null where nobody pays for it. */
export type KeyListRow = {
  virtualKey: string;
  name: string | null;
  status: "active" | "expired" | "revoked";
  userId: string;
  userName: string | null;
  accountId: string | null;
  ownerId: string | null;
  accountType: "user" | "tenant" | null;
  allowedModels: string[] | null;
  spendLimit: string | null;
  spendPeriod: "day" | "week" | "month" | null;
  requestsPerMinute: number | null;
  holdPolicy: string | null;
  leavePolicy: string | null;
  createdAt: Date;
  createdBy: string | null;
  expiresAt: Date | null;
  revokedAt: Date | null;
};

const status = "CASE WHEN x.status = 'active' AND x.expires_at <= now() THEN 'expired' ELSE x.status END";
const columns = `x.virtual_key AS "virtualKey", x.name, ${status} AS status, x.user_id AS "userId",
  (SELECT coalesce(u.name, u.email) FROM data.user_profile u WHERE u.id = x.user_id) AS "userName", payer.account_balance_id AS "accountId",
  payer.account_id AS "ownerId", payer.account_type AS "accountType", x.allowed_models AS "allowedModels", x.spend_limit AS "spendLimit",
  x.spend_period AS "spendPeriod", x.requests_per_minute AS "requestsPerMinute", x.hold_policy AS "holdPolicy",
  x.leave_policy AS "leavePolicy", x.created_at AS "createdAt", x.created_by AS "createdBy", x.expires_at AS "expiresAt",
  x.revoked_at AS "revokedAt"`;
const joins = `LEFT JOIN LATERAL (SELECT * FROM data.billing_accounts b WHERE b.virtual_key = x.virtual_key LIMIT 1) payer ON true`;

const created: readonly Key[] = [
  { column: "x.created_at", type: "timestamptz" },
  { column: "x.virtual_key", type: "text" },
];
const found: readonly Key[] = [
  { column: "x.found", type: "text" },
  { column: "x.virtual_key", type: "text" },
];
const keyName = `left(lower(name), 200) COLLATE "C"`;

function matching(search: string, bind: Bind): string {
  const byKey = `virtual_key COLLATE "C" >= ${bind(search)}::text AND virtual_key COLLATE "C" < ${bind(search)}::text || ${LAST_CHARACTER}`;
  const byName = prefixRange(search, bind)(keyName);
  return `(SELECT k.*, virtual_key COLLATE "C" AS found FROM data.virtual_key k WHERE ${byKey}
           UNION ALL SELECT k.*, ${keyName} FROM data.virtual_key k WHERE ${byName} AND NOT (${byKey})) x`;
}

/** The users whose keys the account pays for. */
function paidBy(account: string): Sql {
  return (bind) =>
    isUuid(account)
      ? `x.user_id = ANY(ARRAY(
          SELECT u.id FROM data.account_balance a JOIN data.user_profile u ON u.tenant_id = a.owner_tenantid OR u.id = a.owner_userid AND u.tenant_id IS NULL
           WHERE ${bind(account)}::uuid IN (a.id, a.owner_userid, a.owner_tenantid)))`
      : "false";
}

const keys = listOf<KeyFilters, KeyListRow>(
  { column: "x.created_at", type: "timestamptz" },
  ({ search, status: wanted, accountId }) => {
    const text = search?.trim();
    return {
      from: (bind) => (text ? matching(text, bind) : "data.virtual_key x"),
      where: given(accountId, paidBy),
      residual: given(wanted, (value) => (bind) => `${status} = ${bind(value)}`),
      keys: text ? found : created,
      columns,
      joins,
    };
  },
);

/** Keys by when they were made, or as found. Throws `InvalidPage`, and what the driver throws. */
export const pageKeys = keys.page;
export const countKeys = keys.count;
export const countNewerKeys = keys.newer;
