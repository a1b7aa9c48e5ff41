// Setting an amount aside before a service is given, and drawing what it cost after. A hold lowers what is available and moves no balance;
// only its capture is a link of the chain. Each act is one item of one script call, and every one may be asked again. Holds of one
// event-loop turn are opened together, and so captured (turns.ts).
import type { Billing } from "./billing.ts";
import {
  type ChargeRequest,
  checkAmount,
  checkTexts,
  type Deduction,
  digestArg,
  drawArgs,
  type Refusal,
  randomId,
  readRefusal,
  readRemembered,
} from "./draw.ts";
import { BillingError } from "./errors.ts";
import type { Item, ItemScript } from "./items.ts";
import { balanceKey, chargeKey, epochKey, holdKey, holdsDueKey, holdsKey, shardOf, streamKey } from "./keys.ts";
import { loadScript, replyArray, replyText, runScript, type Script } from "./redis.ts";
import { type SpendLimit, spendArg } from "./spend.ts";
import type { AccountRef } from "./stream.ts";

const scripts = { void: loadScript("./void.lua"), extend: loadScript("./extend.lua") };

/** How long a hold of a caller's own is known after it is over. */
const KEEP_MS = 24 * 60 * 60_000;
const MAX_TRIES = 8;

export const holdScript: ItemScript<ItemOutcome> = {
  script: loadScript("./draw.lua", "./items.lua", "./hold.lua"),
  target: holdsDueKey,
  args: (billing) => [String(billing.requestTtlMs), String(KEEP_MS)],
  draws: false,
  read: readHold,
  readBooks: (deduction) => ({ outcome: "answered", ...deduction }),
};

export const captureScript: ItemScript<CaptureOutcome> = {
  script: loadScript("./draw.lua", "./items.lua", "./capture.lua"),
  target: streamKey,
  args: (billing) => [String(billing.requestTtlMs), String(KEEP_MS)],
  draws: true,
  read: readCapture,
};

export type HoldRequest = {
  account: AccountRef;
  virtualKey: string;
  requestId: string;
  /** Of the client's body: the same request id with another digest is a conflict. */
  digest: string;
  amountNanos: bigint;
  ttlMs: number;
  provider: string;
  model: string;
  /** We give the service ourselves: expired without an end, it is noted as served and not captured. */
  served?: boolean;
  /** Of the key. */
  spendLimit?: SpendLimit;
};

export type Hold = {
  /** The `deduction_id` of its capture. */
  holdId: string;
  amountNanos: bigint;
  /** By Redis' clock, as it was answered first: an extension does not change it. */
  expiresAt: Date;
  /** After it was set aside. */
  availableNanos: bigint;
};

/** `answered`: this request id was charged already, and this is what it was answered. */
export type HoldOutcome =
  | ({ outcome: "held" | "repeated" } & Hold)
  | ({ outcome: "answered" } & Deduction)
  | Refusal
  | { outcome: "conflict" }
  | { outcome: "unknown_account" };

/**
 * A hold, as whoever opened it names it. With `request` (what it was opened with) its end is remembered under the request id alone, as
 * a charge is: this saves the hold's own record, and a voided request may come again.
 */
export type HoldRef = { account: AccountRef; holdId: string; request?: { requestId: string; digest: string } };

/** `conflict`: captured before with another cost. `closed`: it was voided. */
export type CaptureOutcome =
  | ({ outcome: "charged" | "repeated" } & Deduction)
  | { outcome: "conflict" | "closed" | "unknown_hold" | "unknown_account" };

/**
 * Sets an amount aside if that much is available, releasing what has expired first. The same request id again answers the same hold.
 * Loads a cold account. Throws `BillingError`: ask again with the same request id.
 */
export async function openHold(billing: Billing, request: HoldRequest): Promise<HoldOutcome> {
  const { account, requestId, virtualKey, provider, model, amountNanos, ttlMs, spendLimit } = request;
  billing.pressure.refuseNewWork();
  checkAmount(amountNanos, "The amount");
  checkTexts({ requestId, virtualKey, provider, model });
  const [shard, random] = [shardOf(account.id, billing.numShards), randomId()];
  const keys = [
    balanceKey(shard, account.type, account.ownerId),
    chargeKey(shard, account.id, requestId),
    holdsKey(shard, account.id),
    holdKey(shard, random),
  ];
  const args = [String(ttlMs), amountNanos.toString(), account.currency, digestArg(request.digest), random];
  args.push(account.id, account.ownerId, account.type, requestId, virtualKey, provider, model);
  args.push(spendArg(spendLimit), request.served ? "1" : "0");
  const item = { account, requestId, virtualKey, spendLimit, amountNanos, keys, args };
  const outcome = (await billing.holds.add(shard, item)) ?? { outcome: "unknown_account" };
  return outcome.outcome === "known" ? await readAgain(billing, shard, outcome.holdId) : outcome;
}

/** `known`: this request id was answered with this hold. */
export type ItemOutcome = HoldOutcome | { outcome: "known"; holdId: string };

function readHold(word: string, rest: string, { amountNanos, spendLimit }: Item): ItemOutcome {
  switch (word) {
    case "held": {
      const [holdId = "", expires = "", available = ""] = rest.split(" ");
      const expiresAt = new Date(Number(expires));
      return { outcome: "held", holdId, amountNanos, expiresAt, availableNanos: BigInt(available) };
    }
    case "repeated":
      return { outcome: "known", holdId: rest };
    case "answered":
      return { outcome: "answered", ...readRemembered(rest) };
    case "conflict":
      return { outcome: "conflict" };
    case "refused":
      return readRefusal(rest, amountNanos, spendLimit);
    default:
      throw new TypeError(`hold.lua answered ${word} ${rest}`);
  }
}

/** The hold that a request id was answered with, as it was answered. */
async function readAgain(billing: Billing, shard: number, holdId: string): Promise<HoldOutcome> {
  const key = holdKey(shard, randomOf(holdId) ?? "");
  const [amount, opened, available] = await billing.ask((redis) => redis.hmget(key, "amount", "answered", "available"));
  if (!amount || !opened || !available) return { outcome: "conflict" }; // its record went first: it was closed long ago
  return {
    outcome: "repeated",
    holdId,
    amountNanos: BigInt(amount),
    expiresAt: new Date(Number(opened)),
    availableNanos: BigInt(available),
  };
}

/**
 * Draws the actual cost (below, equal to or above the hold) and releases the rest, also after the hold has expired, and whatever the
 * balance: the service was given. The same cost again answers the first result. Throws `BillingError`: ask again.
 */
export async function captureHold(
  billing: Billing,
  { account, holdId, request }: HoldRef,
  drawn: Omit<ChargeRequest, "account" | "requestId" | "digest" | "delivered">,
): Promise<CaptureOutcome> {
  const shard = shardOf(account.id, billing.numShards);
  const random = randomOf(holdId);
  if (random === undefined) return { outcome: "unknown_hold" };
  const record = holdKey(shard, random);
  const requestId = request?.requestId ?? (await billing.ask((redis) => redis.hget(record, "request_id")));
  if (requestId === null) return { outcome: "unknown_hold" };
  const keys = [balanceKey(shard, account.type, account.ownerId), holdsKey(shard, account.id), record];
  keys.push(request ? chargeKey(shard, account.id, requestId) : record);
  const args = [holdId, request ? "1" : "0", request?.digest ?? "", ...drawArgs({ ...drawn, account }, requestId)];
  const { virtualKey, costNanos: amountNanos } = drawn;
  const item = { account, requestId, virtualKey, spendLimit: undefined, amountNanos, keys, args };
  return (await billing.captures.add(shard, item)) ?? { outcome: "unknown_account" };
}

function readCapture(word: string, rest: string): CaptureOutcome {
  switch (word) {
    case "charged":
    case "repeated":
      return { outcome: word, ...readRemembered(rest) };
    case "conflict":
    case "closed":
      return { outcome: word };
    case "unknown":
      return { outcome: "unknown_hold" };
    case "currency":
      throw new BillingError("invalid_request", "The account has another currency.");
    default:
      throw new TypeError(`capture.lua answered ${word} ${rest}`);
  }
}

/** Gives back what was set aside. Harmless twice; `closed`: it was captured. Throws `BillingError`: ask again. */
export async function voidHold(
  billing: Billing,
  { account, holdId, request }: HoldRef,
): Promise<{ outcome: "voided" | "closed" | "unknown_hold" }> {
  const shard = shardOf(account.id, billing.numShards);
  const random = randomOf(holdId);
  if (random === undefined) return { outcome: "unknown_hold" };
  const record = holdKey(shard, random);
  const keys = [epochKey(shard), balanceKey(shard, account.type, account.ownerId), holdsKey(shard, account.id), record];
  keys.push(request ? chargeKey(shard, account.id, request.requestId) : record);
  const reply = await act(billing, scripts.void, account, keys, [
    String(KEEP_MS),
    holdId,
    account.id,
    request ? "1" : "0",
  ]);
  const [word] = reply ?? [];
  if (word === "voided" || word === "closed") return { outcome: word };
  return { outcome: "unknown_hold" };
}

/** Moves the expiry of an open hold to `ttlMs` from now. `closed`: it is over. Throws `BillingError`. */
export async function extendHold(
  billing: Billing,
  { account, holdId, request }: HoldRef & { request: NonNullable<HoldRef["request"]> },
  ttlMs: number,
): Promise<{ outcome: "extended"; expiresAt: Date } | { outcome: "closed" | "unknown_hold" }> {
  const shard = shardOf(account.id, billing.numShards);
  const random = randomOf(holdId);
  if (random === undefined) return { outcome: "unknown_hold" };
  const keys = [epochKey(shard), holdsKey(shard, account.id), holdKey(shard, random)];
  keys.push(chargeKey(shard, account.id, request.requestId));
  const args = [String(billing.requestTtlMs), String(KEEP_MS), holdId, account.id, String(ttlMs)];
  const [word, expires = ""] = (await act(billing, scripts.extend, account, keys, args)) ?? [];
  if (word === "extended") return { outcome: "extended", expiresAt: new Date(Number(expires)) };
  return { outcome: word === "closed" ? "closed" : "unknown_hold" };
}

/** Runs a script past the fence and a cold account. Undefined: there is no such account. */
async function act(
  billing: Billing,
  script: Script,
  account: AccountRef,
  keys: readonly string[],
  args: readonly string[],
): Promise<string[] | undefined> {
  const shard = shardOf(account.id, billing.numShards);
  for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
    const token = await billing.fence.token(shard);
    const reply = replyArray(await runScript(billing.redis, script, keys, [token, ...args])).map(replyText);
    if (reply[0] === "fenced") await billing.fence.verify(shard);
    else return reply;
  }
  throw new BillingError("fenced", "The balance store is being checked; try again.");
}

/** What names a hold's record: the last part of `ded_<ms>_<random>`. */
export function randomOf(holdId: string): string | undefined {
  return /^ded_\d{1,16}_([0-9a-f]{20})$/.exec(holdId)?.[1];
}
