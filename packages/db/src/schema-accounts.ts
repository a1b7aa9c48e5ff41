// Who pays: customer types, tenants, users, their accounts and keys.
// `balance` is the *settled* balance and `total_debits` the sum of the settled own deductions; both move together when a
// deduction settles. `total_credits = balance + total_debits` is generated, so any other change of `balance` is a credit
// by definition, whoever writes it. The triggers of migrations/0003_rules.sql give such a change its version, its audit
// row and its notification (docs/decisions/0010-credits-version-and-audit.md).

import { sql } from "drizzle-orm";
import {
  bigint,
  check,
  foreignKey,
  index,
  integer,
  numeric,
  pgSchema,
  text,
  timestamp,
  unique,
  uuid,
} from "drizzle-orm/pg-core";

/** The schema that Drawdown shares with the business system and with older workers. */
export const data = pgSchema("data");

/** An amount of one movement: below 10⁹ units, 9 decimals. A string in TypeScript, never a number. */
export const amount = (name: string) => numeric(name, { precision: 18, scale: 9 });
/** A balance or a sum of amounts: int64 nanos end near 9.2·10⁹ units, so a balance needs more than `amount` holds. */
export const total = (name: string) => numeric(name, { precision: 28, scale: 9 });
export const moment = (name: string) => timestamp(name, { withTimezone: true });

export const customerType = data.table(
  "customer_type",
  {
    id: uuid("id").primaryKey().defaultRandom(),
    name: text("name").notNull(),
    createdAt: moment("created_at").notNull().defaultNow(),
  },
  (table) => [unique("customer_type_name_key").on(table.name)],
);

export const tenant = data.table(
  "tenant",
  {
    id: uuid("id").primaryKey().defaultRandom(),
    name: text("name").notNull(),
    customerTypeId: uuid("customer_type_id"),
    createdAt: moment("created_at").notNull().defaultNow(),
  },
  (table) => [
    foreignKey({
      name: "tenant_customer_type_fk",
      columns: [table.customerTypeId],
      foreignColumns: [customerType.id],
    }),
    // The accounts page by name, and its search: WHERE left(lower(name), 200) >= $1 AND … < $2 ORDER BY left(lower(name), 200), id
    // (In the order of bytes: a prefix is one range in any locale. Cut, because a longer name than a page holds would be refused.)
    index("tenant_name_index").on(sql`left(lower(name), 200) collate "C"`, table.id),
  ],
);

export const userProfile = data.table(
  "user_profile",
  {
    id: uuid("id").primaryKey().defaultRandom(),
    name: text("name"),
    email: text("email"),
    /** A user who has a tenant is billed to the tenant's account. */
    tenantId: uuid("tenant_id"),
    /** Chooses the price list; null means the tenant's, else the list price. */
    customerTypeId: uuid("customer_type_id"),
    createdAt: moment("created_at").notNull().defaultNow(),
  },
  (table) => [
    foreignKey({ name: "user_profile_tenant_fk", columns: [table.tenantId], foreignColumns: [tenant.id] }),
    foreignKey({
      name: "user_profile_customer_type_fk",
      columns: [table.customerTypeId],
      foreignColumns: [customerType.id],
    }),
    // The keys of a tenant: SELECT … FROM virtual_key JOIN user_profile … WHERE tenant_id = $1
    index("user_profile_tenant_index").on(table.tenantId),
    // The accounts page by name, and its search by name or e-mail; in the order of bytes, as tenant_name_index
    index("user_profile_name_index").on(sql`left(lower(coalesce(name, email, '')), 200) collate "C"`, table.id),
    index("user_profile_email_index").on(sql`left(lower(email), 200) collate "C"`, table.id),
  ],
);

export const accountBalance = data.table(
  "account_balance",
  {
    id: uuid("id").primaryKey().defaultRandom(),
    ownerUserid: uuid("owner_userid"),
    ownerTenantid: uuid("owner_tenantid"),
    currency: text("currency").notNull().default("USD"),
    balance: total("balance").notNull().default("0"),
    totalDebits: total("total_debits").notNull().default("0"),
    totalCredits: total("total_credits").notNull().generatedAlwaysAs(sql`balance + total_debits`),
    creditLimit: amount("credit_limit").notNull().default("0"),
    overdueAmount: total("overdue_amount").notNull().generatedAlwaysAs(sql`greatest(0, -(balance + credit_limit))`),
    /** Set by a trigger alone; a hand-written version is ignored. */
    creditsVersion: bigint("credits_version", { mode: "bigint" }).notNull().default(sql`1`),
    status: text("status", { enum: ["active", "frozen"] })
      .notNull()
      .default("active"),
    createdAt: moment("created_at").notNull().defaultNow(),
    /** The last credit, limit or status; settling leaves it alone. */
    updatedAt: moment("updated_at").notNull().defaultNow(),
    /**
     * Its own deductions up to this link are settled, exported and no longer here; 0 for none. In this row, and not beside it, because
     * whoever settles holds its lock and so sees the newest.
     */
    closedSeq: bigint("closed_seq", { mode: "bigint" }).notNull().default(sql`0`),
    /** The same of what older producers drew before this moment, which is no link. */
    closedBefore: moment("closed_before"),
  },
  (table) => [
    foreignKey({
      name: "account_balance_owner_user_fk",
      columns: [table.ownerUserid],
      foreignColumns: [userProfile.id],
    }),
    foreignKey({
      name: "account_balance_owner_tenant_fk",
      columns: [table.ownerTenantid],
      foreignColumns: [tenant.id],
    }),
    unique("account_balance_owner_userid_key").on(table.ownerUserid),
    unique("account_balance_owner_tenantid_key").on(table.ownerTenantid),
    check("account_balance_owner_check", sql`num_nonnulls(owner_userid, owner_tenantid) = 1`),
    check("account_balance_status_check", sql`status in ('active', 'frozen')`),
    // NaN >= 0 is true in Postgres, hence each column by name.
    check("account_balance_balance_check", sql`balance <> 'NaN'::numeric`),
    check("account_balance_total_debits_check", sql`total_debits <> 'NaN'::numeric`),
    check("account_balance_credit_limit_check", sql`credit_limit >= 0 and credit_limit <> 'NaN'::numeric`),
    // int64 nanos, which Redis counts in, end at 9223372036.854775807 units. Refused at the credit, never at a deduction.
    check("account_balance_total_credits_check", sql`total_credits < 9000000000 and total_credits > -9000000000`),
    check("account_balance_available_check", sql`total_credits + credit_limit < 9200000000`),
    // The accounts page: WHERE (created_at, id) < ($1, $2) ORDER BY created_at DESC, id DESC; of all, of tenants, of frozen ones.
    // Nothing here may name balance, total_debits or what is generated from them: settling would cease to be HOT.
    index("account_balance_created_index").on(table.createdAt, table.id),
    index("account_balance_tenant_index").on(table.createdAt, table.id).where(sql`owner_tenantid is not null`),
    index("account_balance_frozen_index").on(table.createdAt, table.id).where(sql`status = 'frozen'`),
  ],
);

export const virtualKey = data.table(
  "virtual_key",
  {
    /** The public id; what a client sends is `<virtual_key>.<secret>`. */
    virtualKey: text("virtual_key").primaryKey(),
    /** Lower-case hex. Null (a key taken over from the replaced system): nothing can sign in with it. */
    secretSha256: text("secret_sha256"),
    userId: uuid("user_id").notNull(),
    name: text("name"),
    /** Kept in step with `revoked_at` by a trigger: writing either revokes. */
    status: text("status", { enum: ["active", "revoked"] })
      .notNull()
      .default("active"),
    revokedAt: moment("revoked_at"),
    expiresAt: moment("expires_at"),
    /** Names of models as they are asked for, `provider/model` too; one that ends in `*` is a beginning. Null: every model. */
    allowedModels: text("allowed_models").array(),
    /** What the key may draw in a period of UTC; both null: as much as the account has. */
    spendLimit: amount("spend_limit"),
    spendPeriod: text("spend_period", { enum: ["day", "week", "month"] }),
    /** In any 60 seconds; null: as many as come. */
    requestsPerMinute: integer("requests_per_minute"),
    /** When less is available than a call may cost: hold that, or refuse. Null: as the gateway is set. */
    holdPolicy: text("hold_policy", { enum: ["available", "worst_case"] }),
    /** When a client leaves a stream: learn from the provider what was used, or cut it and count what came. Null: the first. */
    leavePolicy: text("leave_policy", { enum: ["drain", "cut"] }),
    createdAt: moment("created_at").notNull().defaultNow(),
    createdBy: text("created_by"),
  },
  (table) => [
    foreignKey({ name: "virtual_key_user_fk", columns: [table.userId], foreignColumns: [userProfile.id] }),
    check("virtual_key_length_check", sql`length(virtual_key) between 1 and 512`),
    check("virtual_key_secret_sha256_check", sql`secret_sha256 ~ '^[0-9a-f]{64}$'`),
    check(
      "virtual_key_status_check",
      sql`status in ('active', 'revoked') and (status = 'revoked') = (revoked_at is not null)`,
    ),
    check(
      "virtual_key_allowed_models_check",
      sql`cardinality(allowed_models) between 1 and 1000 and array_position(allowed_models, null) is null`,
    ),
    check("virtual_key_spend_limit_check", sql`spend_limit >= 0 and spend_limit <> 'NaN'::numeric`),
    check(
      "virtual_key_spend_period_check",
      sql`(spend_limit is null) = (spend_period is null) and (spend_period is null or spend_period in ('day', 'week', 'month'))`,
    ),
    // Each request of the last minute is remembered in Redis: the limit bounds that too.
    check("virtual_key_requests_per_minute_check", sql`requests_per_minute between 1 and 100000`),
    check("virtual_key_hold_policy_check", sql`hold_policy in ('available', 'worst_case')`),
    check("virtual_key_leave_policy_check", sql`leave_policy in ('drain', 'cut')`),
    // The keys of a user or tenant: … FROM virtual_key WHERE user_id = $1
    index("virtual_key_user_index").on(table.userId),
    // The keys page: ORDER BY created_at DESC, virtual_key DESC; its search by the beginning of a name or of the key itself
    index("virtual_key_created_index").on(table.createdAt, table.virtualKey),
    index("virtual_key_name_index").on(sql`left(lower(name), 200) collate "C"`, table.virtualKey),
    index("virtual_key_prefix_index").on(sql`virtual_key collate "C"`),
  ],
);

// Views are written by migrations/0003_rules.sql; here only their shapes.

/** What a key is billed to: virtual_key → user → tenant → account. A key without an account has no row. */
export const billingAccounts = data
  .view("billing_accounts", {
    virtualKey: text("virtual_key").notNull(),
    accountBalanceId: uuid("account_balance_id").notNull(),
    /** The owner's id (user or tenant), not the account's. */
    accountId: uuid("account_id").notNull(),
    accountType: text("account_type", { enum: ["user", "tenant"] }).notNull(),
    customerTypeId: uuid("customer_type_id"),
    balance: total("balance").notNull(),
    overdueAmount: total("overdue_amount").notNull(),
  })
  .existing();

export const accountBalances = data
  .view("account_balances", {
    id: uuid("id").notNull(),
    ownerUserid: uuid("owner_userid"),
    ownerTenantid: uuid("owner_tenantid"),
    balance: total("balance").notNull(),
  })
  .existing();

export const virtualKeys = data
  .view("virtual_keys", {
    virtualKey: text("virtual_key").notNull(),
    userId: uuid("user_id").notNull(),
    tenantId: uuid("tenant_id"),
  })
  .existing();
