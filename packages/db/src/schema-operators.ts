// Who may look after the ledger: operators of the console, how they prove who they are, and their sessions. The property names of the first
// four tables are better-auth's; it reads and writes them through its Drizzle adapter (apps/web/src/server/auth.ts).

import { sql } from "drizzle-orm";
import { boolean, check, foreignKey, index, integer, text, unique, uuid } from "drizzle-orm/pg-core";
import { data, moment } from "./schema-accounts.ts";

const made = { createdAt: moment("created_at").notNull().defaultNow() };
const changed = { ...made, updatedAt: moment("updated_at").notNull().defaultNow() };

/** Never deleted: what an operator did stays on record under the e-mail. */
export const operator = data.table(
  "operator",
  {
    id: uuid("id").primaryKey().defaultRandom(),
    email: text("email").notNull(),
    emailVerified: boolean("email_verified").notNull().default(false),
    name: text("name").notNull(),
    image: text("image"),
    role: text("role", { enum: ["viewer", "support", "admin"] })
      .notNull()
      .default("viewer"),
    /** Null: may sign in. */
    disabledAt: moment("disabled_at"),
    ...changed,
  },
  (table) => [
    unique("operator_email_key").on(table.email),
    check("operator_email_check", sql`email = lower(email) and position('@' in email) > 1`),
    check("operator_role_check", sql`role in ('viewer', 'support', 'admin')`),
  ],
);

export const operatorSession = data.table(
  "operator_session",
  {
    id: uuid("id").primaryKey().defaultRandom(),
    userId: uuid("operator_id").notNull(),
    token: text("token").notNull(),
    expiresAt: moment("expires_at").notNull(),
    ipAddress: text("ip_address"),
    userAgent: text("user_agent"),
    ...changed,
  },
  (table) => [
    // A session is looked up by its token with each request.
    unique("operator_session_token_key").on(table.token),
    foreignKey({ name: "operator_session_operator_fk", columns: [table.userId], foreignColumns: [operator.id] }),
    // Sign out everywhere: WHERE operator_id = $1
    index("operator_session_operator_index").on(table.userId),
  ],
);

/** A password (`credential`), or a single sign-on's subject. */
export const operatorCredential = data.table(
  "operator_credential",
  {
    id: uuid("id").primaryKey().defaultRandom(),
    userId: uuid("operator_id").notNull(),
    providerId: text("provider_id").notNull(),
    /** The operator's id for a password, the subject for single sign-on. */
    accountId: text("subject").notNull(),
    /** scrypt with its salt, as better-auth writes it. */
    password: text("password"),
    accessToken: text("access_token"),
    refreshToken: text("refresh_token"),
    idToken: text("id_token"),
    accessTokenExpiresAt: moment("access_token_expires_at"),
    refreshTokenExpiresAt: moment("refresh_token_expires_at"),
    scope: text("scope"),
    ...changed,
  },
  (table) => [
    unique("operator_credential_subject_key").on(table.providerId, table.accountId),
    unique("operator_credential_provider_key").on(table.userId, table.providerId),
    foreignKey({ name: "operator_credential_operator_fk", columns: [table.userId], foreignColumns: [operator.id] }),
  ],
);

/** A single sign-on that is under way. */
export const operatorVerification = data.table(
  "operator_verification",
  {
    id: uuid("id").primaryKey().defaultRandom(),
    identifier: text("identifier").notNull(),
    value: text("value").notNull(),
    expiresAt: moment("expires_at").notNull(),
    ...changed,
  },
  (table) => [
    // The provider's answer comes back: WHERE identifier = $1; what nobody came back for is removed: WHERE expires_at < $1
    index("operator_verification_identifier_index").on(table.identifier),
    index("operator_verification_expires_index").on(table.expiresAt),
  ],
);

/** How often an address or an e-mail failed to sign in since the first failure of its window. */
export const operatorRateLimit = data.table(
  "operator_rate_limit",
  {
    key: text("key").primaryKey(),
    attempts: integer("attempts").notNull(),
    startedAt: moment("started_at").notNull().defaultNow(),
  },
  (table) => [
    // What is over is removed: WHERE started_at < $1
    index("operator_rate_limit_started_index").on(table.startedAt),
  ],
);
