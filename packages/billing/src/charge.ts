// Drawing a cost down from an account: one script call checks, deducts, appends the stream entry and remembers the request
// id. Calls of one event-loop turn are sent as one script call per shard; with nothing in flight a call is sent at once.
import { randomBytes } from "node:crypto";
import type { Billing } from "./billing.ts";
import { BillingError } from "./errors.ts";
import { balanceKey, chargeKey, epochKey, shardOf, streamKey } from "./keys.ts";
import { loadAccount } from "./load.ts";
import { MAX_AMOUNT_NANOS, parseUnits } from "./money.ts";
import { loadScript, redisFailure, replyArray, replyText, runScript } from "./redis.ts";
import { type AccountRef, MAX_METADATA_BYTES, MAX_TEXT_LENGTH, type UsageSource } from "./stream.ts";

/** One cost to draw down. `digest` is a digest of the client's body: the same id with another digest is a conflict. */
export type ChargeRequest = {
  account: AccountRef;
  virtualKey: string;
  requestId: string;
  digest: string;
  costNanos: bigint;
  provider: string;
  model: string;
  inputTokens: number;
  outputTokens: number;
  /** Default: input and output together. */
  totalTokens?: number;
  usageSource: UsageSource;
  metadata?: Record<string, unknown>;
  /** The service was given already: the cost is recorded even below zero, and on a frozen account. */
  delivered?: boolean;
};

export type Deduction = {
  deductionId: string;
  costNanos: bigint;
  balanceBeforeNanos: bigint;
  balanceAfterNanos: bigint;
  accountSeq: bigint;
};

export type Refusal = {
  outcome: "refused";
  reason: "insufficient_balance" | "account_frozen" | "currency_mismatch";
  balanceNanos: bigint;
  heldNanos: bigint;
  availableNanos: bigint;
  requiredNanos: bigint;
};

/** `repeated`: this request id was charged before, and this is what it was answered; no money moved now. */
export type ChargeOutcome =
  | ({ outcome: "charged" | "repeated" } & Deduction)
  | Refusal
  | { outcome: "conflict" }
  | { outcome: "unknown_account" };

/** One item of a list failed alone: it was malformed, or a store failed. Nothing of it is known to have been charged. */
export type ChargeFailure = { outcome: "failed"; error: BillingError };

type ScriptOutcome = ChargeOutcome | ChargeFailure | { outcome: "not_loaded" };

const script = loadScript("./charge.lua");

/** Items of one script call: long enough to spread its cost, short enough not to hold Redis for more than about 2 ms. */
const MAX_ITEMS = 64;
const MAX_LOADS = 8;
const MAX_FENCED = 3;

/**
 * Draws many costs down, each whole or not at all, an account's in the order given. Returns one outcome per item, in that
 * order; a bad item is answered `failed` and harms no other. Cold accounts are loaded. Never throws for an item.
 */
export async function chargeMany(
  billing: Billing,
  requests: readonly ChargeRequest[],
): Promise<(ChargeOutcome | ChargeFailure)[]> {
  const outcomes: Promise<ChargeOutcome | ChargeFailure>[] = [];
  const shards = new Map<number, Waiting[]>();
  for (const request of requests) {
    const { promise, resolve } = Promise.withResolvers<ChargeOutcome | ChargeFailure>();
    outcomes.push(promise);
    const item = prepareOrFail(billing, request);
    if ("outcome" in item) {
      resolve(item);
      continue;
    }
    const waiting = shards.get(item.shard) ?? [];
    waiting.push({ item, resolve });
    shards.set(item.shard, waiting);
  }
  await Promise.all(
    [...shards].map(async ([shard, waiting]) => {
      for (let at = 0; at < waiting.length; at += MAX_ITEMS)
        await drawDown(billing, shard, waiting.slice(at, at + MAX_ITEMS));
    }),
  );
  return await Promise.all(outcomes);
}

/** Draws one cost down. Throws a `BillingError` when a store failed: ask again with the same request id. */
export async function charge(billing: Billing, request: ChargeRequest): Promise<ChargeOutcome> {
  const item = prepareOrFail(billing, request);
  const outcome = "outcome" in item ? item : await billing.charges.add(item);
  if (outcome.outcome === "failed") throw outcome.error;
  return outcome;
}

function prepareOrFail(billing: Billing, request: ChargeRequest): Prepared | ChargeFailure {
  try {
    return prepare(billing, request);
  } catch (error) {
    if (error instanceof BillingError) return { outcome: "failed", error };
    throw error;
  }
}

/** A charge as the script takes it: two keys and 17 arguments. */
type Prepared = {
  shard: number;
  account: AccountRef;
  requestId: string;
  keys: [string, string];
  args: string[];
  costNanos: bigint;
};

/** Refuses what our own settle statement would refuse, so that it never gets into the stream. */
function prepare(billing: Billing, request: ChargeRequest): Prepared {
  const { account, requestId, virtualKey, provider, model, digest, costNanos } = request;
  if (!request.delivered) billing.pressure.refuseNewWork();
  if (costNanos < 0n || costNanos > MAX_AMOUNT_NANOS)
    throw new BillingError("invalid_amount", "The cost is out of range.");
  const totalTokens = request.totalTokens ?? request.inputTokens + request.outputTokens;
  for (const count of [request.inputTokens, request.outputTokens, totalTokens])
    if (!Number.isSafeInteger(count) || count < 0)
      throw new BillingError("invalid_request", "A token count is not valid.");
  for (const [name, text] of Object.entries({ requestId, virtualKey, provider, model, digest }))
    if (text.length === 0 || text.length > MAX_TEXT_LENGTH || text.includes("\0"))
      throw new BillingError("invalid_request", `${name} is empty, too long or has a NUL.`);
  if (/\s/.test(digest)) throw new BillingError("invalid_request", "digest has white space.");
  const metadata = request.metadata === undefined ? "{}" : JSON.stringify(request.metadata);
  if (Buffer.byteLength(metadata) > MAX_METADATA_BYTES)
    throw new BillingError("invalid_request", "metadata is too large.");
  const shard = shardOf(account.id, billing.numShards);
  const keys: [string, string] = [
    balanceKey(shard, account.type, account.ownerId),
    chargeKey(shard, account.id, requestId),
  ];
  const args = [
    account.id,
    account.ownerId,
    account.type,
    virtualKey,
    costNanos.toString(),
    account.currency,
    provider,
    model,
  ];
  args.push(
    String(request.inputTokens),
    String(request.outputTokens),
    String(totalTokens),
    requestId,
    request.usageSource,
  );
  args.push(metadata, digest, randomBytes(10).toString("hex"), request.delivered ? "1" : "0");
  return { shard, account, requestId, keys, args, costNanos };
}

/** Gathers the charges of one turn per shard and sends them as one script call. */
export class ChargeQueue {
  readonly #billing: Billing;
  readonly #shards = new Map<number, { waiting: Waiting[]; inFlight: number; scheduled: boolean }>();

  constructor(billing: Billing) {
    this.#billing = billing;
  }

  add(item: Prepared): Promise<ChargeOutcome | ChargeFailure> {
    const number = item.shard;
    const queue = this.#shards.get(number) ?? { waiting: [], inFlight: 0, scheduled: false };
    this.#shards.set(number, queue);
    return new Promise((resolve) => {
      queue.waiting.push({ item, resolve });
      if (queue.inFlight === 0 || queue.waiting.length >= MAX_ITEMS) void this.#send(number, queue);
      else if (!queue.scheduled) {
        queue.scheduled = true;
        setImmediate(() => {
          queue.scheduled = false;
          while (queue.waiting.length > 0) void this.#send(number, queue);
        });
      }
    });
  }

  async #send(shard: number, queue: { waiting: Waiting[]; inFlight: number }): Promise<void> {
    queue.inFlight++;
    await drawDown(this.#billing, shard, queue.waiting.splice(0, MAX_ITEMS));
    queue.inFlight--;
  }
}

type Waiting = { item: Prepared; resolve: (outcome: ChargeOutcome | ChargeFailure) => void };

/** Sends up to MAX_ITEMS charges of one shard and resolves each: again after a load, and after the shard's epoch changed. */
async function drawDown(billing: Billing, shard: number, waiting: readonly Waiting[]): Promise<void> {
  let rest = waiting;
  let fenced = 0;
  try {
    for (let attempt = 0; attempt < MAX_LOADS && fenced < MAX_FENCED; ) {
      const token = await billing.fence.token(shard);
      rest = await answerFromBooks(billing, shard, rest);
      if (rest.length === 0) return;
      const outcomes = await sendCharges(billing, shard, token, rest);
      if (outcomes === "fenced") {
        fenced++;
        await billing.fence.verify(shard);
        continue;
      }
      attempt++;
      const cold: Waiting[] = [];
      rest.forEach((one, i) => {
        const outcome = outcomes[i] ?? failed(new Error("charge.lua answered too few items"));
        if (outcome.outcome === "not_loaded") cold.push(one);
        else one.resolve(outcome);
      });
      rest = await loadCold(billing, cold);
    }
    throw new BillingError("fenced", "The balance store is being checked; try again.", {
      message: `shard ${shard}: ${rest.length} charges neither loaded nor past the fence`,
    });
  } catch (error) {
    for (const { resolve } of rest) resolve(failed(error));
  }
}

/** After a loss Redis may have forgotten an id whose deduction is settled: for as long as ids live, Postgres is asked first. */
async function answerFromBooks(
  billing: Billing,
  shard: number,
  waiting: readonly Waiting[],
): Promise<readonly Waiting[]> {
  const lostAtMs = billing.fence.lostAtMs(shard);
  if (lostAtMs === 0 || Date.now() > lostAtMs + billing.requestTtlMs || waiting.length === 0) return waiting;
  const known = await findSettledRequests(
    billing,
    waiting.map(({ item }) => ({ accountId: item.account.id, requestId: item.requestId })),
  );
  return waiting.filter(({ item, resolve }) => {
    const answer = known.get(`${item.account.id} ${item.requestId}`);
    if (answer) resolve({ outcome: "repeated", ...answer });
    return answer === undefined;
  });
}

/** Loads the accounts of these charges and returns the charges to send again; the others are resolved. */
async function loadCold(billing: Billing, cold: readonly Waiting[]): Promise<Waiting[]> {
  const accounts = new Map(cold.map(({ item }) => [item.account.id, item.account]));
  const answers = new Map<string, ChargeOutcome | ChargeFailure | undefined>();
  await Promise.all(
    [...accounts].map(async ([id, account]) => {
      const load = loadAccount(billing, account).then((found) =>
        found ? undefined : { outcome: "unknown_account" as const },
      );
      answers.set(id, await load.catch(failed));
    }),
  );
  return cold.filter(({ item, resolve }) => {
    const answer = answers.get(item.account.id);
    if (answer) resolve(answer);
    return answer === undefined;
  });
}

function failed(error: unknown): ChargeFailure {
  if (error instanceof BillingError) return { outcome: "failed", error };
  return { outcome: "failed", error: new BillingError("redis_unavailable", "The charge failed.", { cause: error }) };
}

async function sendCharges(
  billing: Billing,
  shard: number,
  token: string,
  waiting: readonly Waiting[],
): Promise<ScriptOutcome[] | "fenced"> {
  const keys = [streamKey(shard), epochKey(shard), ...waiting.flatMap(({ item }) => item.keys)];
  const args = [token, String(billing.requestTtlMs), ...waiting.flatMap(({ item }) => item.args)];
  const answer = runScript(billing.redis, script, keys, args);
  answer.catch(() => {}); // who dies at this point no longer hears what failed
  billing.observe("charge.sent", { shard, items: waiting.length });
  const [word, ...replies] = replyArray(await answer);
  if (word !== "done") return "fenced";
  billing.observe("charge.answered", { shard, items: waiting.length });
  return replies.map((reply, i) => readItem(replyArray(reply).map(replyText), waiting[i]?.item.costNanos ?? 0n));
}

function readItem(reply: string[], costNanos: bigint): ScriptOutcome {
  const [word, a = "", b = "", c = "", d = ""] = reply;
  switch (word) {
    case "charged":
      return {
        outcome: "charged",
        deductionId: a,
        costNanos,
        balanceBeforeNanos: BigInt(b),
        balanceAfterNanos: BigInt(c),
        accountSeq: BigInt(d),
      };
    case "repeated":
      return { outcome: "repeated", ...readRemembered(a) };
    case "conflict":
      return { outcome: "conflict" };
    case "not_loaded":
      return { outcome: "not_loaded" };
    case "refused": {
      const [balanceNanos, heldNanos, limitNanos] = [BigInt(b), BigInt(c), BigInt(d)];
      const availableNanos = balanceNanos + limitNanos - heldNanos;
      return {
        outcome: "refused",
        reason: readReason(a),
        balanceNanos,
        heldNanos,
        availableNanos,
        requiredNanos: costNanos,
      };
    }
    default:
      return failed(redisFailure(new Error(a))); // what Redis said of this item alone
  }
}

function readReason(text: string): Refusal["reason"] {
  if (text === "insufficient_balance" || text === "account_frozen" || text === "currency_mismatch") return text;
  throw new TypeError(`charge.lua refused for an unknown reason: ${text}`);
}

/** `deduction_id cost before after seq`, as charge.lua remembers an answer. */
function readRemembered(text: string): Deduction {
  const [deductionId = "", cost = "", before = "", after = "", seq = ""] = text.split(" ");
  return {
    deductionId,
    costNanos: BigInt(cost),
    balanceBeforeNanos: BigInt(before),
    balanceAfterNanos: BigInt(after),
    accountSeq: BigInt(seq),
  };
}

/** What a request id of an account was answered, while it is remembered. Reads only. */
export async function findRequest(
  billing: Billing,
  account: AccountRef,
  requestId: string,
): Promise<({ digest: string } & Deduction) | undefined> {
  const shard = shardOf(account.id, billing.numShards);
  const known = await billing.ask((redis) => redis.get(chargeKey(shard, account.id, requestId)));
  if (known === null) return undefined;
  const space = known.indexOf(" ");
  return { digest: known.slice(0, space), ...readRemembered(known.slice(space + 1)) };
}

/** What the books say these requests were charged, by `account_id request_id`. */
async function findSettledRequests(
  billing: Billing,
  requests: readonly { accountId: string; requestId: string }[],
): Promise<Map<string, Deduction>> {
  type Settled = Record<"account_id" | "request_id" | "deduction_id" | "cost" | "account_seq", string> &
    Record<"balance_before" | "balance_after", string | null>;
  const rows = await billing.query<Settled>(
    `SELECT u.account_id, u.request_id, u.deduction_id, u.cost, u.balance_before, u.balance_after, u.account_seq
       FROM unnest($1::uuid[], $2::text[]) AS r(account_id, request_id)
       JOIN data.usage_log u ON u.account_id = r.account_id AND u.request_id = r.request_id
      WHERE u.account_seq IS NOT NULL ORDER BY u.id DESC`,
    [requests.map((request) => request.accountId), requests.map((request) => request.requestId)],
  );
  const deduction = (row: Settled): Deduction => ({
    deductionId: row.deduction_id,
    costNanos: parseUnits(row.cost),
    balanceBeforeNanos: parseUnits(row.balance_before ?? "0"),
    balanceAfterNanos: parseUnits(row.balance_after ?? "0"),
    accountSeq: BigInt(row.account_seq),
  });
  return new Map(rows.map((row) => [`${row.account_id} ${row.request_id}`, deduction(row)]));
}
