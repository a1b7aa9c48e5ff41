// Keys, and what they are billed to.

import { eq } from "drizzle-orm";
import type { Db } from "./connect.ts";
import { virtualKey as keys } from "./schema.ts";

/** A key with the account that it is billed to: its user's tenant's, else its user's own. */
export type VirtualKeyRow = {
  virtualKey: string;
  /** Lower-case hex; null when no secret was ever set: nothing can sign in with it. */
  secretSha256: string | null;
  revokedAt: Date | null;
  expiresAt: Date | null;
  /** Names, beginnings of names with `*`; null: every model. */
  allowedModels: string[] | null;
  /** Decimal string of units; null with `spendPeriod`. */
  spendLimit: string | null;
  spendPeriod: "day" | "week" | "month" | null;
  /** In any 60 seconds; null: as many as come. */
  requestsPerMinute: number | null;
  /** Null: as the gateway is set. */
  holdPolicy: "available" | "worst_case" | null;
  /** Null: `drain`. */
  leavePolicy: "drain" | "cut" | null;
  userId: string;
  /** Chooses the price list: the user's, else his tenant's. */
  customerTypeId: string | null;
  accountBalanceId: string;
  /** The user's or tenant's id. */
  ownerId: string;
  accountType: "user" | "tenant";
  currency: string;
  /** The customer type of the account's owner; another than `customerTypeId` is charged and flagged. */
  accountCustomerTypeId: string | null;
};

/** Undefined for an unknown key, and for a key whose user or tenant has no account. Revoked and expired keys are found. */
export async function findVirtualKey(db: Db, virtualKey: string): Promise<VirtualKeyRow | undefined> {
  const { rows } = await db.$client.query<VirtualKeyRow>({
    name: "find_virtual_key",
    text: `SELECT k.virtual_key AS "virtualKey", k.secret_sha256 AS "secretSha256", k.revoked_at AS "revokedAt",
                  k.expires_at AS "expiresAt", k.allowed_models AS "allowedModels", k.spend_limit AS "spendLimit",
                  k.spend_period AS "spendPeriod", k.requests_per_minute AS "requestsPerMinute",
                  k.hold_policy AS "holdPolicy", k.leave_policy AS "leavePolicy", k.user_id AS "userId", b.customer_type_id AS "customerTypeId",
                  b.account_balance_id AS "accountBalanceId", b.account_id AS "ownerId", b.account_type AS "accountType",
                  a.currency, coalesce(t.customer_type_id, o.customer_type_id) AS "accountCustomerTypeId"
           FROM data.virtual_key k
           JOIN data.billing_accounts b ON b.virtual_key = k.virtual_key
           JOIN data.account_balance a ON a.id = b.account_balance_id
           LEFT JOIN data.tenant t ON t.id = a.owner_tenantid
           LEFT JOIN data.user_profile o ON o.id = a.owner_userid
           WHERE k.virtual_key = $1`,
    values: [virtualKey],
  });
  return rows[0];
}

/** Sets a new secret for a key, making it when it is new; the old secret is void. A revoked key stays revoked. */
export async function putVirtualKey(
  db: Db,
  key: { virtualKey: string; secretSha256: string; userId: string; name?: string; expiresAt?: Date },
): Promise<void> {
  await db
    .insert(keys)
    .values(key)
    .onConflictDoUpdate({ target: keys.virtualKey, set: { secretSha256: key.secretSha256 } });
}

/** False when there is no such key. Gateways drop it from their memory through the notification. */
export async function revokeVirtualKey(db: Db, virtualKey: string): Promise<boolean> {
  const revoked = await db
    .update(keys)
    .set({ status: "revoked" })
    .where(eq(keys.virtualKey, virtualKey))
    .returning({ virtualKey: keys.virtualKey });
  return revoked.length > 0;
}
