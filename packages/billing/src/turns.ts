// Gathers what is asked of the scripts that take many items. What is asked in one turn of the event loop is sent at its end as one script
// call; while two calls are on their way the next items gather, for they would only wait in Redis, where each call has a sync of the file to
// itself. One that is alone is never held back. A shard that has to wait (for its fence, for the books, for an account that is loaded) makes
// no other wait: what it waits with is sent by itself. On a cluster each shard has calls of its own.
import type { Billing } from "./billing.ts";
import {
  asksBooks,
  type Item,
  type ItemScript,
  MAX_ITEMS,
  type Part,
  sendParts,
  settleItems,
  type Waiting,
} from "./items.ts";

type Shard<Outcome> = { number: number; group: Group<Outcome>; waiting: Waiting<Outcome>[]; underWay: number };
/** Shards whose items share calls. `waiting`: those with items, whose turn is next first. */
type Group<Outcome> = { waiting: Set<Shard<Outcome>>; underWay: number };

/** Of a group, and of a shard: one that Redis runs, and one that is on its way. More go only when they are full. */
const MAX_CALLS = 2;

/** Gathers items. As many wait as callers have under way: it is theirs to bound. */
export class Turns<Outcome> {
  readonly #billing: Billing;
  readonly #script: ItemScript<Outcome>;
  readonly #groups = new Map<number, Group<Outcome>>();
  readonly #shards = new Map<number, Shard<Outcome>>();
  /** Those with items to send at the end of this turn. */
  readonly #due = new Set<Group<Outcome>>();

  constructor(billing: Billing, script: ItemScript<Outcome>) {
    this.#billing = billing;
    this.#script = script;
  }

  /** Resolves with what the script said of the item; undefined: there is no such account. Throws a `BillingError`: ask again. */
  add(number: number, item: Item): Promise<Outcome | undefined> {
    const shard = this.#shardOf(number);
    return new Promise((resolve, reject) => {
      shard.waiting.push({ item, resolve, reject });
      shard.group.waiting.add(shard);
      this.#sendSoon(shard.group);
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

  #shardOf(number: number): Shard<Outcome> {
    const known = this.#shards.get(number);
    if (known) return known;
    const groupNumber = "redisUrl" in this.#billing.address ? 0 : number;
    const group: Group<Outcome> = this.#groups.get(groupNumber) ?? { waiting: new Set(), underWay: 0 };
    this.#groups.set(groupNumber, group);
    const shard: Shard<Outcome> = { number, group, waiting: [], underWay: 0 };
    this.#shards.set(number, shard);
    return shard;
  }

  #sendSoon(group: Group<Outcome>): void {
    if (this.#due.size === 0) setImmediate(() => this.#sendAll());
    this.#due.add(group);
  }

  #sendAll(): void {
    for (const group of this.#due)
      for (let taken = take(group); taken.size > 0; taken = take(group)) void this.#send(group, taken);
    this.#due.clear();
  }

  /** As one call, but for shards that have to wait first: each of those by itself. */
  async #send(group: Group<Outcome>, taken: ReadonlyMap<Shard<Outcome>, Waiting<Outcome>[]>): Promise<void> {
    const parts: Part<Outcome>[] = [];
    for (const [shard, waiting] of taken) {
      const token = this.#billing.fence.knownToken(shard.number);
      if (token === undefined || asksBooks(this.#billing, this.#script, shard.number))
        void this.#settle(shard, waiting);
      else parts.push({ shard: shard.number, token, waiting });
    }
    if (parts.length === 0) return;
    group.underWay++;
    const unanswered = await sendParts(this.#billing, this.#script, parts);
    group.underWay--;
    for (const [i, { shard }] of parts.entries()) void this.#settle(this.#shardOf(shard), unanswered[i] ?? []);
    if (group.waiting.size > 0) this.#sendSoon(group);
  }

  async #settle(shard: Shard<Outcome>, waiting: readonly Waiting<Outcome>[]): Promise<void> {
    if (waiting.length > 0) await settleItems(this.#billing, this.#script, shard.number, waiting);
    shard.underWay--;
    if (shard.waiting.length > 0) this.#sendSoon(shard.group);
  }
}

/** What goes into the next call of a group: nothing while enough are under way. Marks it as under way for its shards. */
function take<Outcome>(group: Group<Outcome>): Map<Shard<Outcome>, Waiting<Outcome>[]> {
  const taken = new Map<Shard<Outcome>, Waiting<Outcome>[]>();
  const open = [...group.waiting].filter(
    ({ underWay, waiting }) => underWay < MAX_CALLS || waiting.length >= MAX_ITEMS,
  );
  const items = open.reduce((sum, { waiting }) => sum + waiting.length, 0);
  if (group.underWay >= MAX_CALLS && items < MAX_ITEMS) return taken;
  let room = MAX_ITEMS;
  for (const shard of open) {
    if (room === 0) break;
    const part = shard.waiting.splice(0, room);
    room -= part.length;
    taken.set(shard, part);
    shard.underWay++;
    group.waiting.delete(shard);
    if (shard.waiting.length > 0) group.waiting.add(shard); // behind the others
  }
  return taken;
}
