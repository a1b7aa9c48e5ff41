// Scripts that take many items (items.lua): one call for items of one shard or of several that are on the same server. Each item is answered
// alone: again after its account was loaded, and after its shard's epoch changed.
import type { Billing } from "./billing.ts";
import { type Deduction, findForgotten, mayHaveForgotten } from "./draw.ts";
import { BillingError } from "./errors.ts";
import { epochKey } from "./keys.ts";
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

/** A script that answers `{item...}` (items.lua), each item as a text: a word, and after a space what goes with it. */
export type ItemScript<Outcome> = {
  script: Script;
  /** What the script writes into for a shard. */
  target: (shard: number) => string;
  /** Before the shards' and the items'. */
  args: (billing: Billing) => readonly string[];
  /** It draws money: its windows have names. */
  draws: boolean;
  /** What the script said of an item. What it throws is the item's alone. */
  read: (word: string, rest: string, item: Item) => Outcome;
  /** What the books say that this request was charged, after a loss. Without it they are not asked. */
  readBooks?: (deduction: Deduction) => Outcome;
};

export type Waiting<Outcome> = {
  item: Item;
  /** Undefined: there is no such account. */
  resolve: (outcome: Outcome | undefined) => void;
  reject: (error: unknown) => void;
  /** Why it was not answered when it was sent last: its shard is in another epoch, or Redis lacks its account, or what its key has spent. */
  lacks?: "epoch" | "account" | "spend";
};

/** What one call has of one shard, with the fence token to give. */
export type Part<Outcome> = { shard: number; token: string; waiting: readonly Waiting<Outcome>[] };

/** Of one script call: long enough to spread its cost, short enough not to hold Redis for more than about 4 ms. */
export const MAX_ITEMS = 128;
const MAX_LOADS = 8;
const MAX_FENCED = 3;

/** The keys and arguments of one script call. */
export function callOf<Outcome>(
  billing: Billing,
  { target, args }: ItemScript<Outcome>,
  parts: readonly { shard: number; token: string; items: readonly Item[] }[],
): { keys: string[]; args: string[] } {
  const call = { keys: [] as string[], args: [...args(billing), String(parts.length)] };
  for (const { shard, token, items } of parts) {
    call.keys.push(epochKey(shard), target(shard));
    call.args.push(token, String(items.length));
  }
  for (const { items } of parts)
    for (const item of items) {
      call.keys.push(...item.keys);
      call.args.push(...item.args);
    }
  return call;
}

/** Settles every promise of these items of one shard. Never rejects. */
export async function settleItems<Outcome>(
  billing: Billing,
  script: ItemScript<Outcome>,
  shard: number,
  waiting: readonly Waiting<Outcome>[],
): Promise<void> {
  let rest = waiting;
  let fenced = 0;
  try {
    for (let sent = 0; sent < MAX_LOADS && fenced < MAX_FENCED; ) {
      if (rest[0]?.lacks === "epoch") {
        fenced++;
        await billing.fence.verify(shard);
      } else {
        sent++;
        rest = await makeReady(billing, rest);
      }
      const token = await billing.fence.token(shard);
      rest = await answerFromBooks(billing, script, shard, rest);
      if (rest.length === 0) return;
      const [unanswered] = await sendParts(billing, script, [{ shard, token, waiting: rest }]);
      rest = unanswered ?? [];
      if (rest.length === 0) return;
    }
    throw new BillingError("fenced", "The balance store is being checked; try again.", {
      message: `shard ${shard}: ${rest.length} items neither loaded nor past the fence`,
    });
  } catch (error) {
    for (const { reject } of rest) reject(error);
  }
}

/** One call. Settles what it answers and returns what it does not, part by part. Never rejects: what fails is told to all of them. */
export async function sendParts<Outcome>(
  billing: Billing,
  script: ItemScript<Outcome>,
  parts: readonly Part<Outcome>[],
): Promise<Waiting<Outcome>[][]> {
  const observe = (point: "charge.sent" | "charge.answered") => {
    if (!script.draws) return;
    for (const { shard, waiting } of parts) billing.observe(point, { shard, items: waiting.length });
  };
  try {
    const call = callOf(
      billing,
      script,
      parts.map(({ waiting, ...part }) => ({ ...part, items: waiting.map(({ item }) => item) })),
    );
    const answer = runScript(billing.redis, script.script, call.keys, call.args);
    answer.catch(() => {}); // who dies at this point no longer hears what failed
    observe("charge.sent");
    const replies = replyArray(await answer);
    observe("charge.answered");
    const reading = replies.values();
    const unanswered = parts.map(({ waiting }) => answerItems(script, waiting, reading));
    replies.length = 0; // let go, as redis.ts says
    return unanswered;
  } catch (error) {
    for (const { waiting } of parts) for (const { reject } of waiting) reject(error);
    return [];
  }
}

const LACKS = { fenced: "epoch", not_loaded: "account", spend_unknown: "spend" } as const;

/** Settles what was answered, and returns the others with what they lack. */
function answerItems<Outcome>(
  script: ItemScript<Outcome>,
  waiting: readonly Waiting<Outcome>[],
  replies: Iterator<unknown>,
): Waiting<Outcome>[] {
  const unanswered: Waiting<Outcome>[] = [];
  for (const one of waiting) {
    try {
      const reply = replyText(replies.next().value);
      const end = reply.indexOf(" ");
      const [word, rest] = end < 0 ? [reply, ""] : [reply.slice(0, end), reply.slice(end + 1)];
      if (word === "fenced" || word === "not_loaded" || word === "spend_unknown")
        unanswered.push({ ...one, lacks: LACKS[word] });
      else if (word === "error")
        one.reject(redisFailure(new Error(rest))); // what Redis said of this item alone
      else one.resolve(script.read(word, rest, one.item));
    } catch (error) {
      one.reject(error);
    }
  }
  return unanswered;
}

/** Whether a shard's items have to be looked for in the books before they are sent. */
export function asksBooks<Outcome>(billing: Billing, { readBooks }: ItemScript<Outcome>, shard: number): boolean {
  return readBooks !== undefined && mayHaveForgotten(billing, shard);
}

/** After a loss Redis may have forgotten an id whose deduction is settled: for as long as ids live, Postgres is asked first. */
async function answerFromBooks<Outcome>(
  billing: Billing,
  { readBooks }: ItemScript<Outcome>,
  shard: number,
  waiting: readonly Waiting<Outcome>[],
): Promise<readonly Waiting<Outcome>[]> {
  if (readBooks === undefined || !mayHaveForgotten(billing, shard)) return waiting;
  const requests = waiting.map(({ item }) => ({ accountId: item.account.id, requestId: item.requestId }));
  const known = await findForgotten(billing, requests);
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
  waiting: readonly Waiting<Outcome>[],
): Promise<readonly Waiting<Outcome>[]> {
  const loads = new Map<string, Promise<boolean>>();
  const load = async ({ item, lacks }: Waiting<Outcome>) => {
    if (lacks === undefined) return true;
    const { account, virtualKey, spendLimit } = item;
    const name = lacks === "account" ? account.id : `${account.id} ${virtualKey}`;
    const found = () =>
      lacks === "account"
        ? loadAccount(billing, account)
        : loadSpend(billing, account, virtualKey, spendLimit?.period ?? "day");
    const loading = loads.get(name) ?? found();
    loads.set(name, loading);
    return await loading;
  };
  const found = await Promise.allSettled(waiting.map(load));
  return waiting.filter(({ resolve, reject }, i) => {
    const answer = found[i];
    if (answer?.status === "rejected") reject(answer.reason);
    else if (answer?.value === true) return true;
    else resolve(undefined);
    return false;
  });
}
