// Drawing a cost down from an account: one script call checks, deducts, appends the stream entry and remembers the request
// id. Calls of one event-loop turn are sent as one script call per shard; with nothing in flight a call is sent at once.
import type { Billing } from "./billing.ts";
import {
  type ChargeRequest,
  type Deduction,
  digestArg,
  drawArgs,
  findForgotten,
  type Refusal,
  randomId,
  readRefusal,
  readRemembered,
} from "./draw.ts";
import { BillingError } from "./errors.ts";
import { balanceKey, chargeKey, epochKey, holdsKey, shardOf, streamKey } from "./keys.ts";
import { loadAccount } from "./load.ts";
import { loadScript, redisFailure, replyArray, replyText, runScript } from "./redis.ts";
import { loadSpend, type SpendLimit, spendArg } from "./spend.ts";
import type { AccountRef } from "./stream.ts";

/** `repeated`: this request id was charged before, and this is what it was answered; no money moved now. */
export type ChargeOutcome =
  | ({ outcome: "charged" | "repeated" } & Deduction)
  | Refusal
  | { outcome: "conflict" }
  | { outcome: "unknown_account" };

/** One item of a list failed alone: it was malformed, or a store failed. Nothing of it is known to have been charged. */
export type ChargeFailure = { outcome: "failed"; error: BillingError };

type ScriptOutcome = ChargeOutcome | ChargeFailure | Unready;
/** Redis lacks the account, or what its key has spent. */
type Unready = { outcome: "not_loaded" } | { outcome: "spend_unknown" };

const script = loadScript("./draw.lua", "./charge.lua");

/** Items of one script call: long enough to spread its cost, short enough not to hold Redis for more than about 2 ms. */
const MAX_ITEMS = 64;
/** Of a shard: one that Redis runs, and one that is on its way. More go only when they are full. */
const MAX_CALLS = 2;
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

/** A charge as the script takes it: three keys and 17 arguments. */
type Prepared = {
  shard: number;
  account: AccountRef;
  requestId: string;
  keys: [string, string, string];
  args: string[];
  costNanos: bigint;
  virtualKey: string;
  spendLimit: SpendLimit | undefined;
};

function prepare(billing: Billing, request: ChargeRequest): Prepared {
  const { account, requestId, virtualKey, digest, costNanos } = request;
  const spendLimit = request.delivered ? undefined : request.spendLimit;
  if (!request.delivered) billing.pressure.refuseNewWork();
  const args = drawArgs(request, requestId);
  args.push(digestArg(digest), request.delivered ? "1" : "0", spendArg(spendLimit));
  const shard = shardOf(account.id, billing.numShards);
  const keys: Prepared["keys"] = [
    balanceKey(shard, account.type, account.ownerId),
    chargeKey(shard, account.id, requestId),
    holdsKey(shard, account.id),
  ];
  return { shard, account, requestId, keys, args, costNanos, virtualKey, spendLimit };
}

type Queue = { shard: number; waiting: Waiting[]; inFlight: number };

/**
 * Gathers the charges of one turn of the event loop per shard and sends them, within that turn, as one script call. While a shard has
 * MAX_CALLS in flight its charges gather for the next one: they would only wait in Redis, and cost more there one by one.
 */
export class ChargeQueue {
  readonly #billing: Billing;
  readonly #shards = new Map<number, Queue>();
  /** Those with charges to send at the end of this turn. */
  readonly #due = new Set<Queue>();

  constructor(billing: Billing) {
    this.#billing = billing;
  }

  add(item: Prepared): Promise<ChargeOutcome | ChargeFailure> {
    const { shard } = item;
    const queue = this.#shards.get(shard) ?? { shard, waiting: [], inFlight: 0 };
    this.#shards.set(shard, queue);
    return new Promise((resolve) => {
      queue.waiting.push({ item, resolve });
      this.#sendSoon(queue);
    });
  }

  #sendSoon(queue: Queue): void {
    if (this.#due.size === 0) setImmediate(() => this.#sendAll());
    this.#due.add(queue);
  }

  #sendAll(): void {
    for (const queue of this.#due)
      while (queue.waiting.length > 0 && (queue.inFlight < MAX_CALLS || queue.waiting.length >= MAX_ITEMS))
        void this.#send(queue);
    this.#due.clear();
  }

  async #send(queue: Queue): Promise<void> {
    queue.inFlight++;
    await drawDown(this.#billing, queue.shard, queue.waiting.splice(0, MAX_ITEMS));
    queue.inFlight--;
    if (queue.waiting.length > 0) this.#sendSoon(queue);
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
      const unready: (Waiting & { lacks: Unready["outcome"] })[] = [];
      rest.forEach((one, i) => {
        const outcome = outcomes[i] ?? failed(new Error("charge.lua answered too few items"));
        if (outcome.outcome === "not_loaded" || outcome.outcome === "spend_unknown")
          unready.push({ ...one, lacks: outcome.outcome });
        else one.resolve(outcome);
      });
      rest = await makeReady(billing, unready);
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
  const known = await findForgotten(
    billing,
    shard,
    waiting.map(({ item }) => ({ accountId: item.account.id, requestId: item.requestId })),
  );
  return waiting.filter(({ item, resolve }) => {
    const answer = known.get(`${item.account.id} ${item.requestId}`);
    if (answer) resolve({ outcome: "repeated", ...answer });
    return answer === undefined;
  });
}

/** Loads what these charges lack and returns those to send again, in their order; the others are resolved. */
async function makeReady(billing: Billing, unready: readonly (Waiting & { lacks: Unready["outcome"] })[]) {
  const loads = new Map<string, Promise<ChargeOutcome | ChargeFailure | undefined>>();
  const load = ({ item, lacks }: (typeof unready)[number]) => {
    const { account, virtualKey, spendLimit } = item;
    const name = lacks === "not_loaded" ? account.id : `${account.id} ${virtualKey}`;
    const found = () =>
      lacks === "not_loaded"
        ? loadAccount(billing, account)
        : loadSpend(billing, account, virtualKey, spendLimit?.period ?? "day");
    const loading =
      loads.get(name) ?? found().then((is) => (is ? undefined : { outcome: "unknown_account" as const }), failed);
    loads.set(name, loading);
    return loading;
  };
  const answers = await Promise.all(unready.map(load));
  return unready.filter(({ resolve }, i) => {
    const answer = answers[i];
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
  const call = scriptCall(billing, shard, token, waiting);
  const answer = runScript(billing.lanes.of(shard, token), script, call.keys, call.args);
  answer.catch(() => {}); // who dies at this point no longer hears what failed
  billing.observe("charge.sent", { shard, items: waiting.length });
  const [word, ...replies] = replyArray(await answer);
  if (word !== "done") return "fenced";
  billing.observe("charge.answered", { shard, items: waiting.length });
  return replies.map((reply, i) => readItem(replyText(reply), waiting[i]?.item));
}

/** The keys and arguments of one script call. */
function scriptCall(billing: Billing, shard: number, token: string, waiting: readonly { item: Prepared }[]) {
  const keys = [streamKey(shard), epochKey(shard)];
  const args = [token, String(billing.requestTtlMs), randomId().slice(2)];
  for (const { item } of waiting) {
    keys.push(...item.keys);
    args.push(...item.args);
  }
  return { keys, args };
}

/** A single charge as a command for any client, for measuring what Redis alone can do with it. The account must be loaded. */
export async function chargeCommand(billing: Billing, request: ChargeRequest) {
  const item = prepare(billing, request);
  return { script, ...scriptCall(billing, item.shard, await billing.fence.token(item.shard), [{ item }]) };
}

function readItem(reply: string, item: Prepared | undefined): ScriptOutcome {
  const end = reply.indexOf(" ");
  const [word, rest] = end < 0 ? [reply, ""] : [reply.slice(0, end), reply.slice(end + 1)];
  switch (word) {
    case "charged":
    case "repeated":
      return { outcome: word, ...readRemembered(rest) };
    case "conflict":
    case "not_loaded":
    case "spend_unknown":
      return { outcome: word };
    case "refused":
      return readRefusal(rest.split(" "), item?.costNanos ?? 0n, item?.spendLimit);
    default:
      return failed(redisFailure(new Error(rest))); // what Redis said of this item alone
  }
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
