// The accounts page: who owns them, and their settled money. In the order of opening it reads account_balance; by name, and in a search,
// it reads the owners, users and tenants merged by the beginning of their names. Overdue accounts have no index: it would have to name the
// balance, and every settled deduction would pay for it. They are looked for row by row.
import { isUuid } from "./accounts.ts";
import type { Db } from "./connect.ts";
import {
  type Bind,
  type Count,
  checkPin,
  countRows,
  type Key,
  type Listing,
  type Page,
  type PageRequest,
  pinMoment,
  prefixRange,
  readPage,
  type Sql,
} from "./pages.ts";

export type AccountFilters = {
  /** An account's, owner's or key's id, or else the beginning of a name or e-mail address, whatever its case. A search sorts by name. */
  search?: string;
  type?: "user" | "tenant";
  status?: "active" | "frozen";
  overdueOnly?: boolean;
  /** `customer_type.id` of the owner. */
  customerTypeId?: string;
  /** `created` by default. By name, `newest` is Z to A. */
  sort?: "created" | "name";
};

/** Amounts are units with 9 decimals; `balance` is the settled one. */
export type AccountListRow = {
  id: string;
  ownerId: string;
  ownerName: string | null;
  ownerEmail: string | null;
  type: "user" | "tenant";
  customerTypeId: string | null;
  customerType: string | null;
  currency: string;
  balance: string;
  totalDebits: string;
  totalCredits: string;
  creditLimit: string;
  overdueAmount: string;
  creditsVersion: string;
  status: "active" | "frozen";
  createdAt: Date;
  updatedAt: Date;
};

/** Of an account. */
const columnsOf = (
  b: string,
) => `${b}.id, owner.id AS "ownerId", owner.name AS "ownerName", owner.email AS "ownerEmail",
  CASE WHEN ${b}.owner_tenantid IS NULL THEN 'user' ELSE 'tenant' END AS type, owner.customer_type_id AS "customerTypeId",
  (SELECT c.name FROM data.customer_type c WHERE c.id = owner.customer_type_id) AS "customerType", ${b}.currency, ${b}.balance,
  ${b}.total_debits AS "totalDebits", ${b}.total_credits AS "totalCredits", ${b}.credit_limit AS "creditLimit", ${b}.overdue_amount AS "overdueAmount",
  ${b}.credits_version AS "creditsVersion", ${b}.status, ${b}.created_at AS "createdAt", ${b}.updated_at AS "updatedAt"`;

const ownerOf = (b: string) => `JOIN LATERAL (
    SELECT t.id, t.name, NULL::text AS email, t.customer_type_id FROM data.tenant t WHERE t.id = ${b}.owner_tenantid
    UNION ALL
    SELECT u.id, u.name, u.email, u.customer_type_id FROM data.user_profile u WHERE u.id = ${b}.owner_userid
    LIMIT 1) owner ON true`;

const customerTypeOf = (account: string) => `coalesce(
  (SELECT t.customer_type_id FROM data.tenant t WHERE t.id = ${account}.owner_tenantid),
  (SELECT u.customer_type_id FROM data.user_profile u WHERE u.id = ${account}.owner_userid))`;

/** What is asked of an account, on `alias`. */
function conditionsOf(filters: AccountFilters, alias: string): Sql[] {
  const { type, status, overdueOnly, customerTypeId } = filters;
  const conditions: Sql[] = [];
  if (type !== undefined) conditions.push(() => `${alias}.owner_${type}id IS NOT NULL`);
  if (status !== undefined) conditions.push(() => `${alias}.status = '${status}'`);
  if (overdueOnly === true) conditions.push(() => `${alias}.overdue_amount > 0`);
  if (customerTypeId !== undefined)
    conditions.push((bind) =>
      isUuid(customerTypeId) ? `${customerTypeOf(alias)} = ${bind(customerTypeId)}::uuid` : "false",
    );
  return conditions;
}

const createdKeys: readonly Key[] = [
  { column: "x.created_at", type: "timestamptz" },
  { column: "x.id", type: "uuid" },
];

function byCreation(filters: AccountFilters, ids: readonly string[] | undefined, bound: Bound): Listing {
  const { status, type, ...rest } = filters;
  const where: Sql[] = [(bind) => bound("x", bind)];
  if (ids) where.push((bind) => `x.id = ANY(${bind(ids)}::uuid[])`);
  // Of the two, the rarer has the index.
  where.push(...conditionsOf(status === "frozen" ? { status } : type === "tenant" ? { type } : {}, "x"));
  return {
    from: () => "data.account_balance x",
    where,
    residual: conditionsOf({ ...rest, ...(status ? { status } : {}), ...(type ? { type } : {}) }, "x"),
    keys: createdKeys,
    columns: columnsOf("x"),
    joins: ownerOf("x"),
  };
}

type Bound = (alias: string, bind: Bind) => string;

const nameKeys: readonly Key[] = [
  { column: "x.name_key", type: "text" },
  { column: "x.owner", type: "uuid" },
];
const userName = `left(lower(coalesce(name, email, '')), 200) COLLATE "C"`;
const userEmail = `left(lower(email), 200) COLLATE "C"`;
const tenantName = `left(lower(name), 200) COLLATE "C"`;
/** Each owner costs a look-up of his account. */
const OWNERS_SCAN_MAX = 4_000;

/** Owners by name; in a search also by e-mail, each under what was found of him, once. */
function byName(filters: AccountFilters, search: string | undefined, bound: Bound): Listing {
  const conditions = [...conditionsOf(filters, "a"), (bind: Bind) => bound("a", bind)];
  const wanted = (bind: Bind) => conditions.map((condition) => condition(bind)).join(" AND ");
  return {
    from: (bind) => ownersOf(search, bind),
    where: [],
    // As look-ups, so that they stay look-ups.
    residual: [
      (
        bind,
      ) => `CASE x.type WHEN 'user' THEN (SELECT ${wanted(bind)} FROM data.account_balance a WHERE a.owner_userid = x.owner)
                   ELSE (SELECT ${wanted(bind)} FROM data.account_balance a WHERE a.owner_tenantid = x.owner) END`,
    ],
    keys: nameKeys,
    columns: columnsOf("b"),
    scanMax: OWNERS_SCAN_MAX,
    joins: `JOIN LATERAL (SELECT * FROM data.account_balance a WHERE x.type = 'user' AND a.owner_userid = x.owner
                          UNION ALL SELECT * FROM data.account_balance a WHERE x.type = 'tenant' AND a.owner_tenantid = x.owner LIMIT 1) b ON true
            ${ownerOf("b")}`,
  };
}

function ownersOf(search: string | undefined, bind: Bind): string {
  const range = search === undefined ? undefined : prefixRange(search, bind);
  const starts = (key: string) => (range ? range(key) : "true");
  const users = `SELECT ${userName} AS name_key, id AS owner, 'user'::text AS type FROM data.user_profile WHERE ${starts(userName)}`;
  const tenants = `SELECT ${tenantName}, id, 'tenant'::text FROM data.tenant WHERE ${starts(tenantName)}`;
  const byEmail = `SELECT ${userEmail}, id, 'user'::text FROM data.user_profile WHERE ${starts(userEmail)} AND NOT (${starts(userName)})`;
  return `(${[users, tenants, ...(range ? [byEmail] : [])].join(" UNION ALL ")}) x`;
}

async function listingOf(db: Db, filters: AccountFilters, bound: Bound): Promise<Listing> {
  const search = filters.search?.trim();
  if (search) {
    const exact = await findExactly(db, search);
    return exact.length > 0 ? byCreation(filters, exact, bound) : byName(filters, search, bound);
  }
  return filters.sort === "name" ? byName(filters, undefined, bound) : byCreation(filters, undefined, bound);
}

/** The account whose id, owner's id or key this is. */
async function findExactly(db: Db, text: string): Promise<string[]> {
  const { rows } = isUuid(text)
    ? await db.$client.query<{ id: string }>(
        "SELECT id FROM data.account_balance WHERE id = $1 OR owner_userid = $1 OR owner_tenantid = $1",
        [text],
      )
    : await db.$client.query<{ id: string }>(
        "SELECT account_balance_id AS id FROM data.billing_accounts WHERE virtual_key = $1",
        [text],
      );
  return rows.map(({ id }) => id);
}

const upTo =
  (pin: string): Bound =>
  (alias, bind) =>
    `${alias}.created_at <= ${bind(pin)}::timestamptz`;

/** Accounts by their opening or by name. Throws `InvalidPage`, and what the driver throws. */
export async function listAccounts(
  db: Db,
  filters: AccountFilters,
  request: PageRequest,
): Promise<Page<AccountListRow>> {
  const pin = await pinMoment(db, request);
  return await readPage<AccountListRow>(db, await listingOf(db, filters, upTo(pin)), request, pin);
}

/** How many accounts the filters find within the window. */
export async function countAccounts(db: Db, filters: AccountFilters, pin: string): Promise<Count> {
  return await countRows(db, await listingOf(db, filters, upTo(checkPin(pin, "timestamptz"))));
}

/** How many accounts that the filters find were opened since the window was pinned. */
export async function countNewerAccounts(db: Db, filters: AccountFilters, pin: string): Promise<Count> {
  checkPin(pin, "timestamptz");
  const newer: Bound = (alias, bind) => `${alias}.created_at > ${bind(pin)}::timestamptz`;
  return await countRows(db, await listingOf(db, filters, newer));
}

/** One account with its keys; `activeKeys` and `keys` are counted to 10,000. */
export type AccountHeader = AccountListRow & { keys: number; activeKeys: number };

/** By account id or owner id. Undefined for what is neither. */
export async function readAccountHeader(db: Db, accountOrOwnerId: string): Promise<AccountHeader | undefined> {
  if (!isUuid(accountOrOwnerId)) return undefined;
  const { rows } = await db.$client.query<AccountHeader>(
    `SELECT ${columnsOf("b")}, k.keys, k.active AS "activeKeys"
       FROM data.account_balance b ${ownerOf("b")}
       CROSS JOIN LATERAL (
         SELECT count(*)::int AS keys, count(*) FILTER (WHERE usable)::int AS active FROM (
           SELECT k.status = 'active' AND (k.expires_at IS NULL OR k.expires_at > now()) AS usable
             FROM data.user_profile u JOIN data.virtual_key k ON k.user_id = u.id
            WHERE u.tenant_id = b.owner_tenantid OR u.id = b.owner_userid AND u.tenant_id IS NULL LIMIT 10000) k) k
      WHERE b.id = $1 OR b.owner_userid = $1 OR b.owner_tenantid = $1
      ORDER BY b.id = $1 DESC LIMIT 1`,
    [accountOrOwnerId],
  );
  return rows[0];
}
