/**
 * Who is calling: `<virtual_key>.<secret>` from `Authorization: Bearer` or `x-api-key`. Whatever is wrong with a key (unknown, another
 * secret, revoked, expired, without an account) gets one and the same answer, so that nothing can be learned by trying.
 */
import { hash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { type AccountRef, BillingError, type KeyLimits, parseUnits } from "@drawdown/billing";
import { type Db, findVirtualKey, type VirtualKeyRow } from "@drawdown/db";
import { GatewayError } from "./errors.ts";
import { Memory } from "./memory.ts";

export type Caller = {
  virtualKey: string;
  account: AccountRef;
  /** Chooses the price list; null is the list price. */
  customerTypeId: string | null;
  /** The account's owner has another customer type than the key's user: charged, and flagged. */
  customerTypeMismatch: boolean;
  limits: KeyLimits;
};

const maxKeys = 100_000;
const refreshAfterMs = 60_000;
const maxApiKeyLength = 1_024;

/** The gateway's memory of keys. Unknown keys are remembered too: they cost Postgres one question, not one each request. */
export function rememberKeys(db: Db): Memory<VirtualKeyRow> {
  return new Memory({ load: (virtualKey) => findKey(db, virtualKey), max: maxKeys, refreshAfterMs });
}

async function findKey(db: Db, virtualKey: string): Promise<VirtualKeyRow | undefined> {
  try {
    return await findVirtualKey(db, virtualKey);
  } catch (error) {
    throw new BillingError("postgres_unavailable", "The key cannot be checked right now.", { cause: error });
  }
}

/** The caller of a request. Throws `invalid_api_key`, or `postgres_unavailable` when an unknown key cannot be looked up. */
export async function authenticate(
  keys: Memory<VirtualKeyRow>,
  headers: IncomingHttpHeaders,
  now: Date,
): Promise<Caller> {
  const { virtualKey, secret } = readApiKey(headers);
  const row = await keys.get(virtualKey);
  // Compared even for an unknown key, so that the time of the answer tells nothing.
  const matches = secretMatches(row?.secretSha256 ?? null, secret);
  if (row === undefined || !matches || row.revokedAt !== null || (row.expiresAt !== null && row.expiresAt <= now)) {
    throw refused();
  }
  return callerOf(row);
}

/** Each row as a caller, made once: a row is not changed, it is read again. */
const callers = new WeakMap<VirtualKeyRow, Caller>();

function callerOf(row: VirtualKeyRow): Caller {
  const known = callers.get(row);
  if (known !== undefined) return known;
  const caller: Caller = {
    virtualKey: row.virtualKey,
    account: { id: row.accountBalanceId, ownerId: row.ownerId, type: row.accountType, currency: row.currency },
    customerTypeId: row.customerTypeId,
    customerTypeMismatch: row.customerTypeId !== row.accountCustomerTypeId,
    limits: limitsOf(row),
  };
  callers.set(row, caller);
  return caller;
}

function limitsOf({ spendLimit, spendPeriod, ...row }: VirtualKeyRow): KeyLimits {
  const spend =
    spendLimit === null || spendPeriod === null ? null : { period: spendPeriod, limitNanos: parseUnits(spendLimit) };
  const { allowedModels, requestsPerMinute, holdPolicy, leavePolicy } = row;
  return { allowedModels, spendLimit: spend, requestsPerMinute, holdPolicy, leavePolicy };
}

function readApiKey(headers: IncomingHttpHeaders): { virtualKey: string; secret: string } {
  const given = headers["x-api-key"];
  const apiKey =
    /^Bearer +(\S+) *$/i.exec(headers.authorization ?? "")?.[1] ?? (typeof given === "string" ? given : "");
  // A virtual key of the replaced system may hold dots; a secret never does.
  const dot = apiKey.lastIndexOf(".");
  if (dot < 1 || dot === apiKey.length - 1 || apiKey.length > maxApiKeyLength) throw refused();
  return { virtualKey: apiKey.slice(0, dot), secret: apiKey.slice(dot + 1) };
}

const noHash = Buffer.alloc(32);

function secretMatches(expectedHex: string | null, secret: string): boolean {
  const expected = expectedHex === null ? noHash : Buffer.from(expectedHex, "hex");
  const actual = hash("sha256", secret, "buffer");
  return expected.length === actual.length && timingSafeEqual(expected, actual) && expectedHex !== null;
}

function refused(): GatewayError {
  return new GatewayError("invalid_api_key", "The API key is not valid.");
}
