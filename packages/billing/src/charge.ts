// Drawing a cost down from an account: one script call checks, deducts, appends the stream entry and remembers the request
// id. Charges of one event-loop turn share a call (turns.ts).
import type { Billing } from "./billing.ts";
import {
  type ChargeRequest,
  type Deduction,
  digestArg,
  drawArgs,
  type Refusal,
  randomId,
  readRefusal,
  readRemembered,
} from "./draw.ts";
import { BillingError } from "./errors.ts";
import { callOf, type Item, type ItemScript } from "./items.ts";
import { balanceKey, chargeKey, holdsKey, shardOf, streamKey } from "./keys.ts";
import { loadScript } from "./redis.ts";
import { spendArg } from "./spend.ts";
import type { AccountRef } from "./stream.ts";

/** `repeated`: this request id was charged before, and this is what it was answered; no money moved now. */
export type ChargeOutcome =
  | ({ outcome: "charged" | "repeated" } & Deduction)
  | Refusal
  | { outcome: "conflict" }
  | { outcome: "unknown_account" };

/** One item of a list failed alone: it was malformed, or a store failed. Nothing of it is known to have been charged. */
export type ChargeFailure = { outcome: "failed"; error: BillingError };

export const chargeScript: ItemScript<ChargeOutcome> = {
  script: loadScript("./draw.lua", "./items.lua", "./charge.lua"),
  target: streamKey,
  // An item's id ends with its number in the call.
  args: (billing) => [String(billing.requestTtlMs), randomId().slice(2)],
  draws: true,
  read: readCharge,
  readBooks: (deduction) => ({ outcome: "repeated", ...deduction }),
};

function readCharge(word: string, rest: string, { amountNanos, spendLimit }: Item): ChargeOutcome {
  switch (word) {
    case "charged":
    case "repeated":
      return { outcome: word, ...readRemembered(rest) };
    case "conflict":
      return { outcome: word };
    case "refused":
      return readRefusal(rest, amountNanos, spendLimit);
    default:
      throw new TypeError(`charge.lua answered ${word} ${rest}`);
  }
}

/**
 * Draws many costs down, each whole or not at all, an account's in the order given. Returns one outcome per item, in that
 * order; a bad item is answered `failed` and harms no other. Cold accounts are loaded. Never throws for an item.
 */
export async function chargeMany(
  billing: Billing,
  requests: readonly ChargeRequest[],
): Promise<(ChargeOutcome | ChargeFailure)[]> {
  const outcomes: (ChargeOutcome | ChargeFailure)[] = [];
  const shards = new Map<number, { n: number; item: Item }[]>();
  for (const [n, request] of requests.entries())
    try {
      const shard = shardOf(request.account.id, billing.numShards);
      const item = prepare(billing, shard, request);
      shards.set(shard, [...(shards.get(shard) ?? []), { n, item }]);
    } catch (error) {
      if (!(error instanceof BillingError)) throw error;
      outcomes[n] = failed(error);
    }
  const send = async (shard: number, asked: readonly { n: number; item: Item }[]) => {
    const answers = await billing.charges.addInOrder(
      shard,
      asked.map(({ item }) => item),
    );
    for (const [i, { n }] of asked.entries()) {
      const answer = answers[i];
      outcomes[n] = answer?.status === "fulfilled" ? (answer.value ?? UNKNOWN_ACCOUNT) : failed(answer?.reason);
    }
  };
  await Promise.all([...shards].map(([shard, asked]) => send(shard, asked)));
  return outcomes;
}

const UNKNOWN_ACCOUNT = { outcome: "unknown_account" } as const;

function failed(error: unknown): ChargeFailure {
  if (error instanceof BillingError) return { outcome: "failed", error };
  return { outcome: "failed", error: new BillingError("redis_unavailable", "The charge failed.", { cause: error }) };
}

/** Draws one cost down. Throws a `BillingError` when a store failed: ask again with the same request id. */
export async function charge(billing: Billing, request: ChargeRequest): Promise<ChargeOutcome> {
  const shard = shardOf(request.account.id, billing.numShards);
  return (await billing.charges.add(shard, prepare(billing, shard, request))) ?? UNKNOWN_ACCOUNT;
}

/** Three keys and 17 arguments. Throws a `BillingError` for what cannot be charged. */
function prepare(billing: Billing, shard: number, request: ChargeRequest): Item {
  const { account, requestId, virtualKey, digest, costNanos: amountNanos } = request;
  const spendLimit = request.delivered ? undefined : request.spendLimit;
  if (!request.delivered) billing.pressure.refuseNewWork();
  const args = drawArgs(request, requestId);
  args.push(digestArg(digest), request.delivered ? "1" : "0", spendArg(spendLimit));
  const keys = [
    balanceKey(shard, account.type, account.ownerId),
    chargeKey(shard, account.id, requestId),
    holdsKey(shard, account.id),
  ];
  return { account, requestId, virtualKey, spendLimit, amountNanos, keys, args };
}

/** A single charge as a command for any client, for measuring what Redis alone can do with it. The account must be loaded. */
export async function chargeCommand(billing: Billing, request: ChargeRequest) {
  const shard = shardOf(request.account.id, billing.numShards);
  const token = await billing.fence.token(shard);
  const call = callOf(billing, chargeScript, [{ shard, token, items: [prepare(billing, shard, request)] }]);
  return { script: chargeScript.script, stream: streamKey(shard), ...call };
}

/** What a request id of an account was answered, while it is remembered: a deduction, or a hold. Reads only. */
export async function findRequest(
  billing: Billing,
  account: AccountRef,
  requestId: string,
): Promise<({ digest: string } & (Deduction | { holdId: string })) | undefined> {
  const shard = shardOf(account.id, billing.numShards);
  const known = await billing.ask((redis) => redis.get(chargeKey(shard, account.id, requestId)));
  if (known === null) return undefined;
  const space = known.indexOf(" ");
  const [digest, answer] = [known.slice(0, space), known.slice(space + 1)];
  return answer.startsWith("hold ") ? { digest, holdId: answer.slice(5) } : { digest, ...readRemembered(answer) };
}
