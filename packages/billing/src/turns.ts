// Scripts that take many items of one shard. What is asked in one turn of the event loop is sent at its end as one script call; while two
// calls of a shard are on their way its next items gather, for they would only wait in Redis, and cost more there one by one. One that is
// alone is never held back. Each item is answered alone: again after its account was loaded, and after its shard's epoch changed.
import type { Billing } from "./billing.ts";
import { type Deduction, findForgotten } from "./draw.ts";
import { BillingError } from "./errors.ts";
import { loadAccount } from "./load.ts";
import { redisFailure, replyArray, replyText, runScript, type Script } from "./redis.ts";
import { loadSpend, type SpendLimit } from "./spend.ts";
import type { AccountRef } from "./stream.ts";

/** One item as its script takes it. */
export type Item = {
  account: AccountRef;
  requestId: string;
  virtualKey: string;
  spendLimit: SpendLimit | undefined;
  /** What is drawn or set aside. */
  amountNanos: bigint;
  keys: readonly string[];
  args: readonly string[];
};

/** A script that answers `{'fenced'}` or `{'done', item...}`, each item as a text: a word, and after a space what goes with it. */
export type ItemScript<Outcome> = {
  script: Script;
  /** Before the items'. */
  keys: (shard: number) => readonly string[];
  /** Between the fence token and the items'. */
  args: (billing: Billing) => readonly string[];
  /** It draws money: its windows have names. */
  draws: boolean;
  /** What the script said of an item. What it throws is the item's alone. */
  read: (word: string, rest: string, item: Item) => Outcome;
  /** What the books say that this request was charged, after a loss. Without it they are not asked. */
  readBooks?: (deduction: Deduction) => Outcome;
};

type Waiting<Outcome> = {
  item: Item;
  /** Undefined: there is no such account. */
  resolve: (outcome: Outcome | undefined) => void;
  reject: (error: unknown) => void;
};
type Shard<Outcome> = { number: number; waiting: Waiting<Outcome>[]; underWay: number };

/** Items of one script call: long enough to spread its cost, short enough not to hold Redis for more than about 2 ms. */
const MAX_ITEMS = 64;
/** Of a shard: one that Redis runs, and one that is on its way. More go only when they are full. */
const MAX_CALLS = 2;
const MAX_LOADS = 8;
const MAX_FENCED = 3;

/** Gathers items. As many wait as callers have under way: it is theirs to bound. */
export class Turns<Outcome> {
  readonly #billing: Billing;
  readonly #script: ItemScript<Outcome>;
  readonly #shards = new Map<number, Shard<Outcome>>();
  /** Those with items to send at the end of this turn. */
  readonly #due = new Set<Shard<Outcome>>();

  constructor(billing: Billing, script: ItemScript<Outcome>) {
    this.#billing = billing;
    this.#script = script;
  }

  /** Resolves with what the script said of the item; undefined: there is no such account. Throws a `BillingError`: ask again. */
  add(number: number, item: Item): Promise<Outcome | undefined> {
    const shard = this.#shards.get(number) ?? { number, waiting: [], underWay: 0 };
    this.#shards.set(number, shard);
    return new Promise((resolve, reject) => {
      shard.waiting.push({ item, resolve, reject });
      this.#sendSoon(shard);
    });
  }

  /** Many of one shard, each sent after those before it were answered or with them. */
  async addInOrder(number: number, items: readonly Item[]): Promise<PromiseSettledResult<Outcome | undefined>[]> {
    const answers = items.map((item) => ({ item, ...Promise.withResolvers<Outcome | undefined>() }));
    const settled = Promise.allSettled(answers.map(({ promise }) => promise));
    for (let at = 0; at < answers.length; at += MAX_ITEMS)
      await settleItems(this.#billing, this.#script, number, answers.slice(at, at + MAX_ITEMS));
    return await settled;
  }

  #sendSoon(shard: Shard<Outcome>): void {
    if (this.#due.size === 0) setImmediate(() => this.#sendAll());
    this.#due.add(shard);
  }

  #sendAll(): void {
    for (const shard of this.#due)
      while (shard.waiting.length > 0 && (shard.underWay < MAX_CALLS || shard.waiting.length >= MAX_ITEMS))
        void this.#send(shard);
    this.#due.clear();
  }

  async #send(shard: Shard<Outcome>): Promise<void> {
    shard.underWay++;
    await settleItems(this.#billing, this.#script, shard.number, shard.waiting.splice(0, MAX_ITEMS));
    shard.underWay--;
    if (shard.waiting.length > 0) this.#sendSoon(shard);
  }
}

/** The keys and arguments of one script call. */
export function callOf<Outcome>(
  billing: Billing,
  { keys, args }: ItemScript<Outcome>,
  shard: number,
  token: string,
  items: Iterable<Item>,
): { keys: string[]; args: string[] } {
  const call = { keys: [...keys(shard)], args: [token, ...args(billing)] };
  for (const item of items) {
    call.keys.push(...item.keys);
    call.args.push(...item.args);
  }
  return call;
}

/** Settles every promise of these items. Never rejects. */
async function settleItems<Outcome>(
  billing: Billing,
  script: ItemScript<Outcome>,
  shard: number,
  waiting: readonly Waiting<Outcome>[],
): Promise<void> {
  let rest = waiting;
  let fenced = 0;
  try {
    for (let attempt = 0; attempt < MAX_LOADS && fenced < MAX_FENCED; ) {
      const token = await billing.fence.token(shard);
      rest = await answerFromBooks(billing, script, shard, rest);
      if (rest.length === 0) return;
      const replies = await sendItems(billing, script, shard, token, rest);
      if (replies === "fenced") {
        fenced++;
        await billing.fence.verify(shard);
        continue;
      }
      attempt++;
      rest = await makeReady(billing, answerItems(script, rest, replies));
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
  script: ItemScript<Outcome>,
  shard: number,
  token: string,
  waiting: readonly Waiting<Outcome>[],
): Promise<unknown[] | "fenced"> {
  const call = callOf(
    billing,
    script,
    shard,
    token,
    waiting.map(({ item }) => item),
  );
  const answer = runScript(billing.lanes.of(shard, token), script.script, call.keys, call.args);
  answer.catch(() => {}); // who dies at this point no longer hears what failed
  if (script.draws) billing.observe("charge.sent", { shard, items: waiting.length });
  const [word, ...replies] = replyArray(await answer);
  if (word !== "done") return "fenced";
  if (script.draws) billing.observe("charge.answered", { shard, items: waiting.length });
  return replies;
}

type Unready<Outcome> = Waiting<Outcome> & { lacks: "not_loaded" | "spend_unknown" };

/** Settles what was answered, and returns what Redis lacks something for: the account, or what its key has spent. */
function answerItems<Outcome>(
  script: ItemScript<Outcome>,
  waiting: readonly Waiting<Outcome>[],
  replies: readonly unknown[],
): Unready<Outcome>[] {
  const unready: Unready<Outcome>[] = [];
  for (const [i, one] of waiting.entries()) {
    try {
      const reply = replyText(replies[i]);
      const end = reply.indexOf(" ");
      const [word, rest] = end < 0 ? [reply, ""] : [reply.slice(0, end), reply.slice(end + 1)];
      if (word === "not_loaded" || word === "spend_unknown") unready.push({ ...one, lacks: word });
      else if (word === "error")
        one.reject(redisFailure(new Error(rest))); // what Redis said of this item alone
      else one.resolve(script.read(word, rest, one.item));
    } catch (error) {
      one.reject(error);
    }
  }
  return unready;
}

/** After a loss Redis may have forgotten an id whose deduction is settled: for as long as ids live, Postgres is asked first. */
async function answerFromBooks<Outcome>(
  billing: Billing,
  { readBooks }: ItemScript<Outcome>,
  shard: number,
  waiting: readonly Waiting<Outcome>[],
): Promise<readonly Waiting<Outcome>[]> {
  if (readBooks === undefined) return waiting;
  const requests = waiting.map(({ item }) => ({ accountId: item.account.id, requestId: item.requestId }));
  const known = await findForgotten(billing, shard, requests);
  if (known.size === 0) return waiting;
  return waiting.filter(({ item, resolve }) => {
    const deduction = known.get(`${item.account.id} ${item.requestId}`);
    if (deduction) resolve(readBooks(deduction));
    return deduction === undefined;
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
