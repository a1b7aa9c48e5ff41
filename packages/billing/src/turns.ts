// Scripts that take many items of one shard. What is asked in one turn of the event loop is sent, within that turn, as one script call.
// Each item is answered alone: again after its account was loaded, and after its shard's epoch changed.
import type { Billing } from "./billing.ts";
import { type Deduction, findForgotten } from "./draw.ts";
import { BillingError } from "./errors.ts";
import { loadAccount } from "./load.ts";
import { redisFailure, replyArray, replyText, runScript, type Script } from "./redis.ts";
import { loadSpend, type SpendLimit } from "./spend.ts";
import type { AccountRef } from "./stream.ts";

/** One item as its script takes it. */
export type Item<Outcome> = {
  account: AccountRef;
  requestId: string;
  virtualKey: string;
  spendLimit: SpendLimit | undefined;
  keys: readonly string[];
  args: readonly string[];
  /** What the script said of this item. What it throws is the item's alone. */
  read: (reply: readonly string[]) => Outcome;
  /** What the books say that this request was charged, after a loss. Without it they are not asked. */
  readBooks?: (deduction: Deduction) => Outcome;
};

/** A script that answers `{'fenced'}` or `{'done', item...}`, and what it is given before the items; the fence token is its first argument. */
export type ItemScript = {
  script: Script;
  keys: (shard: number) => readonly string[];
  args: (billing: Billing) => readonly string[];
  /** It draws money: its windows have names. */
  draws: boolean;
};

type Waiting<Outcome> = {
  item: Item<Outcome>;
  resolve: (outcome: Outcome | undefined) => void;
  reject: (error: unknown) => void;
};

/** Items of one script call: long enough to spread its cost, short enough not to hold Redis for more than about 2 ms. */
const MAX_ITEMS = 64;
const MAX_LOADS = 8;
const MAX_FENCED = 3;

/** Gathers the items of one turn per shard. As many wait as callers have under way: it is theirs to bound. */
export class Turns<Outcome> {
  readonly #billing: Billing;
  readonly #script: ItemScript;
  /** What waits for the end of this turn, by shard. */
  readonly #shards = new Map<number, Waiting<Outcome>[]>();

  constructor(billing: Billing, script: ItemScript) {
    this.#billing = billing;
    this.#script = script;
  }

  /** Resolves with what the script said of the item; undefined: there is no such account. Throws a `BillingError`: ask again. */
  add(shard: number, item: Item<Outcome>): Promise<Outcome | undefined> {
    return new Promise((resolve, reject) => {
      const one = { item, resolve, reject };
      const waiting = this.#shards.get(shard);
      if (waiting) waiting.push(one);
      else {
        if (this.#shards.size === 0) setImmediate(() => this.#sendAll());
        this.#shards.set(shard, [one]);
      }
    });
  }

  #sendAll(): void {
    const shards = [...this.#shards];
    this.#shards.clear();
    for (const [shard, waiting] of shards)
      for (let at = 0; at < waiting.length; at += MAX_ITEMS)
        void settleItems(this.#billing, this.#script, shard, waiting.slice(at, at + MAX_ITEMS));
  }
}

/** Settles every promise of these items. Never rejects. */
async function settleItems<Outcome>(
  billing: Billing,
  script: ItemScript,
  shard: number,
  waiting: readonly Waiting<Outcome>[],
): Promise<void> {
  let rest = waiting;
  let fenced = 0;
  try {
    for (let attempt = 0; attempt < MAX_LOADS && fenced < MAX_FENCED; ) {
      const token = await billing.fence.token(shard);
      rest = await answerFromBooks(billing, shard, rest);
      if (rest.length === 0) return;
      const replies = await sendItems(billing, script, shard, token, rest);
      if (replies === "fenced") {
        fenced++;
        await billing.fence.verify(shard);
        continue;
      }
      attempt++;
      rest = await makeReady(billing, answerItems(rest, replies));
      if (rest.length === 0) return;
    }
    throw new BillingError("fenced", "The balance store is being checked; try again.", {
      message: `shard ${shard}: ${rest.length} items neither loaded nor past the fence`,
    });
  } catch (error) {
    for (const { reject } of rest) reject(error);
  }
}

async function sendItems<Outcome>(
  billing: Billing,
  { script, keys, args, draws }: ItemScript,
  shard: number,
  token: string,
  waiting: readonly Waiting<Outcome>[],
): Promise<unknown[] | "fenced"> {
  const allKeys = [...keys(shard)];
  const allArgs = [token, ...args(billing)];
  for (const { item } of waiting) {
    allKeys.push(...item.keys);
    allArgs.push(...item.args);
  }
  const answer = runScript(billing.redis, script, allKeys, allArgs);
  answer.catch(() => {}); // who dies at this point no longer hears what failed
  if (draws) billing.observe("charge.sent", { shard, items: waiting.length });
  const [word, ...replies] = replyArray(await answer);
  if (word !== "done") return "fenced";
  if (draws) billing.observe("charge.answered", { shard, items: waiting.length });
  return replies;
}

type Unready<Outcome> = Waiting<Outcome> & { lacks: "not_loaded" | "spend_unknown" };

/** Settles what was answered, and returns what Redis lacks something for: the account, or what its key has spent. */
function answerItems<Outcome>(waiting: readonly Waiting<Outcome>[], replies: readonly unknown[]): Unready<Outcome>[] {
  const unready: Unready<Outcome>[] = [];
  for (const [i, one] of waiting.entries()) {
    try {
      const reply = replyArray(replies[i]).map(replyText);
      const [word, text] = reply;
      if (word === "not_loaded" || word === "spend_unknown") unready.push({ ...one, lacks: word });
      else if (word === "error")
        one.reject(redisFailure(new Error(text))); // what Redis said of this item alone
      else one.resolve(one.item.read(reply));
    } catch (error) {
      one.reject(error);
    }
  }
  return unready;
}

/** After a loss Redis may have forgotten an id whose deduction is settled: for as long as ids live, Postgres is asked first. */
async function answerFromBooks<Outcome>(
  billing: Billing,
  shard: number,
  waiting: readonly Waiting<Outcome>[],
): Promise<readonly Waiting<Outcome>[]> {
  const asked = waiting.filter(({ item }) => item.readBooks !== undefined);
  const requests = asked.map(({ item }) => ({ accountId: item.account.id, requestId: item.requestId }));
  const known = await findForgotten(billing, shard, requests);
  if (known.size === 0) return waiting;
  return waiting.filter(({ item, resolve }) => {
    const deduction = known.get(`${item.account.id} ${item.requestId}`);
    if (deduction === undefined || item.readBooks === undefined) return true;
    resolve(item.readBooks(deduction));
    return false;
  });
}

/** Loads what these items lack and returns those to send again, in their order; the others are settled. */
async function makeReady<Outcome>(
  billing: Billing,
  unready: readonly Unready<Outcome>[],
): Promise<readonly Waiting<Outcome>[]> {
  const loads = new Map<string, Promise<boolean>>();
  const load = ({ item, lacks }: Unready<Outcome>) => {
    const { account, virtualKey, spendLimit } = item;
    const name = lacks === "not_loaded" ? account.id : `${account.id} ${virtualKey}`;
    const found = () =>
      lacks === "not_loaded"
        ? loadAccount(billing, account)
        : loadSpend(billing, account, virtualKey, spendLimit?.period ?? "day");
    const loading = loads.get(name) ?? found();
    loads.set(name, loading);
    return loading;
  };
  const found = await Promise.allSettled(unready.map(load));
  return unready.filter(({ resolve, reject }, i) => {
    const answer = found[i];
    if (answer?.status === "rejected") reject(answer.reason);
    else if (answer?.value === true) return true;
    else resolve(undefined);
    return false;
  });
}
