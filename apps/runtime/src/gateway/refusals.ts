/**
 * Each 402 with the figures that caused it, written behind the answer. Nobody waits for it and nothing depends on it: what is queued is
 * bounded, one batch a second goes to Postgres, and a flood loses its oldest, counted. What a killed gateway had queued is lost.
 */
import { setTimeout as wait } from "node:timers/promises";
import { formatPrice, formatUnits } from "@drawdown/billing";
import { type Db, insertRefusals, type NewRefusal, REFUSALS_PER_ACCOUNT } from "@drawdown/db";
import type { Logger } from "../log.ts";
import type { Refused } from "./errors.ts";
import type { Caller } from "./keys.ts";
import type { GatewayMetrics } from "./metrics.ts";

const writeEveryMs = 1_000;
const mostQueued = 2_000;
const mostInBatch = 1_000;
/** Of the time that a stop may take. */
const lastWriteMs = 1_000;

export class Refusals {
  readonly #db: Db;
  readonly #metrics: GatewayMetrics;
  readonly #log: Logger;
  /** By account, the newest last: of one that floods no more are queued than would be kept. */
  readonly #queued = new Map<string, NewRefusal[]>();
  #count = 0;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #failing = false;

  constructor(db: Db, metrics: GatewayMetrics, log: Logger) {
    this.#db = db;
    this.#metrics = metrics;
    this.#log = log;
  }

  /** Queues one. Never throws, never waits. */
  add(caller: Caller, refused: Refused): void {
    const row = rowOf(caller, refused);
    if (row === undefined) return;
    const ofAccount = this.#queued.get(row.accountId) ?? [];
    if (ofAccount.length >= REFUSALS_PER_ACCOUNT) {
      ofAccount.shift();
      this.#dropped("newer_came", 1);
    } else if (this.#count >= mostQueued) return this.#dropped("queue_full", 1);
    else this.#count += 1;
    ofAccount.push(row);
    this.#queued.set(row.accountId, ofAccount);
    this.#schedule();
  }

  /** Writes what is queued, as far as that goes in a second. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const written = (async () => {
      await this.#writing;
      while (this.#count > 0 && !this.#failing) await this.#write();
    })();
    await Promise.race([written, wait(lastWriteMs, undefined, { ref: false })]);
    if (this.#count > 0) this.#dropped("stopped", this.#count);
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#writing !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#writing = this.#write().finally(() => {
        this.#writing = undefined;
        if (this.#count > 0) this.#schedule();
      });
    }, writeEveryMs);
    this.#timer.unref();
  }

  /** One batch. When Postgres is away it waits in the queue, as far as there is room. Never rejects. */
  async #write(): Promise<void> {
    const batch = this.#take();
    try {
      await insertRefusals(this.#db, batch);
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) this.#log.warn({ err: error, refusals: batch.length }, "refusals cannot be written");
      this.#failing = true;
      this.#putBack(batch);
    }
  }

  #take(): NewRefusal[] {
    const batch: NewRefusal[] = [];
    for (const [accountId, ofAccount] of this.#queued) {
      if (batch.length >= mostInBatch) break;
      batch.push(...ofAccount.splice(0, mostInBatch - batch.length));
      if (ofAccount.length === 0) this.#queued.delete(accountId);
    }
    this.#count -= batch.length;
    return batch;
  }

  /** What was refused meanwhile is newer: it stays, and of what comes back the oldest go first. */
  #putBack(batch: readonly NewRefusal[]): void {
    for (const row of batch.toReversed()) {
      const ofAccount = this.#queued.get(row.accountId) ?? [];
      if (ofAccount.length >= REFUSALS_PER_ACCOUNT || this.#count >= mostQueued) {
        this.#dropped(this.#count >= mostQueued ? "queue_full" : "newer_came", 1);
        continue;
      }
      ofAccount.unshift(row);
      this.#queued.set(row.accountId, ofAccount);
      this.#count += 1;
    }
  }

  #dropped(reason: "newer_came" | "queue_full" | "stopped", count: number): void {
    this.#metrics.refusalsDropped.inc({ reason }, count);
  }
}

/** Undefined for what is no 402. */
function rowOf({ account, virtualKey }: Caller, { refusal, asked }: Refused): NewRefusal | undefined {
  const { reason, balanceNanos, heldNanos, availableNanos, requiredNanos, spend } = refusal;
  if (reason !== "insufficient_balance" && reason !== "spend_limit") return undefined;
  return {
    createdAt: new Date(),
    accountId: account.id,
    virtualKey,
    requestId: asked.requestId,
    code: reason,
    provider: asked.provider,
    model: asked.model,
    currency: account.currency,
    balance: formatUnits(balanceNanos),
    held: formatUnits(heldNanos),
    creditLimit: formatUnits(availableNanos + heldNanos - balanceNanos),
    required: formatUnits(requiredNanos),
    spendLimit: spend === undefined ? null : formatUnits(spend.limitNanos),
    spendPeriod: spend?.period ?? null,
    spent: spend === undefined ? null : formatUnits(spend.drawnNanos),
    reserved: spend === undefined ? null : formatUnits(spend.reservedNanos),
    price: priceOf(asked),
    estimate: asked.estimate ?? null,
  };
}

/** The price as it was then: its row may end or change. */
function priceOf({ price }: Refused["asked"]): Record<string, unknown> | null {
  if (price === undefined) return null;
  const rates = (of: typeof price.rates) =>
    Object.fromEntries(Object.entries(of).map(([kind, picos]) => [kind, formatPrice(picos)]));
  return {
    price_id: price.id.toString(),
    provider: price.provider,
    model: price.model,
    customer_type_id: price.customerTypeId,
    currency: price.currency,
    price_model: price.priceModel,
    source: price.source,
    valid_from: price.validFrom.toISOString(),
    rates: rates(price.rates),
    tiers: price.tiers.map((tier) => ({ above_input_tokens: tier.aboveInputTokens, rates: rates(tier.rates) })),
  };
}
