// The fence: each shard has an epoch, in both stores, kept in Redis as one token with the replication id of the server it was
// written on. Every script that moves money is given the token. A server that restarted or was promoted shows another
// replication id, an emptied one shows no token: then nothing moves until the shard was compared with Postgres and given its
// next epoch. If nothing was lost that is a restart; else accounts that are behind are evicted, to be loaded again from the
// books, and a critical alert names the window of possible loss.
import { setTimeout as sleep } from "node:timers/promises";
import { openAlert } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import { readDurability } from "./durability.ts";
import { BillingError } from "./errors.ts";
import { balancePattern, epochKey, ownerOfBalanceKey } from "./keys.ts";
import { inTransaction, type Query } from "./postgres.ts";
import { loadScript, redisServers, replyArray, replyText, runScript } from "./redis.ts";

const script = loadScript("./epoch.lua");
const ADVISORY_CLASS = 0x44524157; // "DRAW"
const SCAN_PAGE = 1_000;
/** For a batch in hand to be settled. */
const GRACE_MS = 250;
/** What stands for the replication id in the token of a shard that is shut. No server has it. */
const shutOn = (replid: string) => `shut-${replid}`;
/** What a client of one server, and one of a cluster, says when a connection is lost or new. */
const LOST = ["close", "-node"];
const BACK = ["ready", "+node"];

/**
 * `epoch:replid:lostAtMs`, the last being the time of the last loss (0 for none), from which request ids may be forgotten; and `:turn` when the
 * shard was shut in this epoch, so often.
 */
type TokenParts = { epoch: bigint; replid: string; lostAtMs: number; turn: number };
type Token = TokenParts & { text: string };
/** `promoted`: the server took over from the one the token was written on. What it had not received by then is lost. */
type ShardState = { token: Token | undefined; replid: string; promoted: boolean };
type Row = { epoch: bigint; replid: string; seenAt: Date };

export class Fence {
  readonly #billing: Billing;
  readonly #tokens = new Map<number, Token>();
  readonly #checks = new Map<number, Promise<void>>();
  /** Shards are settled one after another: each holds a connection to Postgres and needs a second one. */
  #settling: Promise<unknown> = Promise.resolve();
  readonly #onClose = () => this.#tokens.clear();
  readonly #onReady = () => void this.verifyAll().catch(() => {});

  constructor(billing: Billing) {
    this.#billing = billing;
  }

  /** Verifies every shard, now and on each new connection. */
  async start(): Promise<void> {
    for (const event of LOST) this.#billing.redis.on(event, this.#onClose);
    for (const event of BACK) this.#billing.redis.on(event, this.#onReady);
    await this.verifyAll();
  }

  async stop(): Promise<void> {
    for (const event of LOST) this.#billing.redis.off(event, this.#onClose);
    for (const event of BACK) this.#billing.redis.off(event, this.#onReady);
    await Promise.allSettled(this.#checks.values());
  }

  /** The token to give a script. Verifies first when the connection is new. Throws `fenced` or what is unreachable. */
  async token(shard: number): Promise<string> {
    const known = this.knownToken(shard);
    if (known !== undefined) return known;
    await this.verify(shard);
    const token = this.#tokens.get(shard);
    if (!token) throw new BillingError("fenced", "The balance store is being checked after a restart.");
    return token.text;
  }

  /** The same without waiting; undefined while the shard must be verified first. */
  knownToken(shard: number): string | undefined {
    return this.#tokens.get(shard)?.text;
  }

  /** The shard's epoch as this process knows it: what is read from Redis after this belongs to it or to a later one. Throws as `token`. */
  async epoch(shard: number): Promise<bigint> {
    if (!this.#tokens.has(shard)) await this.token(shard);
    return this.#tokens.get(shard)?.epoch ?? 0n;
  }

  /** A BEGIN that keeps these shards (ascending) in their epochs, as `data.shard` has them, until the transaction ends. */
  beginInEpoch(shards: readonly number[]): string {
    if (shards.length === 0) return "BEGIN";
    return `BEGIN; ${lockAll(shards, "pg_advisory_xact_lock_shared")}`;
  }

  /**
   * Runs `commit` while nobody gives these shards (ascending) another epoch. Those for which `findLost` names accounts' keys are shut
   * before: every script answers `fenced`, the accounts are out of Redis, and each gets another token after. Who dies in between leaves one
   * that no server matches, which the next caller moves on. A shard that was emptied is not opened for it. Throws `fenced` when a shard must be
   * verified first.
   */
  async shut<T>(
    shards: readonly number[],
    findLost: () => Promise<ReadonlyMap<number, readonly string[]>>,
    commit: () => Promise<T>,
  ): Promise<T> {
    // One that was emptied stays as it is: whoever opens it waits for this, and finds in the books what is written here.
    for (const shard of shards) if ((await readShard(this.#billing, shard)).token) await this.verify(shard);
    // It lasts as long as what is written beside it, whose statements have limits of their own.
    const begin = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0";
    const locked = `${begin}; ${lockAll(shards, "pg_advisory_xact_lock")}`;
    const work = async () => {
      const reopen: (() => Promise<void>)[] = [];
      try {
        for (const [shard, keys] of await findLost()) {
          reopen.push(await this.#close(shard));
          for (const key of keys) await this.#billing.ask((redis) => redis.del(key));
        }
        return await commit();
      } finally {
        for (const open of reopen) await open();
      }
    };
    return await this.#inTurn(() => inTransaction(this.#billing.db, locked, work));
  }

  /**
   * Returns what opens the shard again, with another token: what anybody read of the books before it was shut is of no use then. One without a
   * token is shut already, and the fence opens it.
   */
  async #close(shard: number): Promise<() => Promise<void>> {
    const { token, replid } = await readShard(this.#billing, shard);
    if (!token) return async () => {};
    if (token.replid !== replid) throw new BillingError("fenced", "The balance store is being checked after a loss.");
    this.#tokens.delete(shard);
    const closed = await moveToken(this.#billing, shard, token.text, { ...token, replid: shutOn(replid) });
    return async () => {
      this.#tokens.set(shard, await moveToken(this.#billing, shard, closed.text, { ...token, turn: token.turn + 1 }));
    };
  }

  /** When the shard last lost something, in ms; 0 for never. */
  lostAtMs(shard: number): number {
    return this.#tokens.get(shard)?.lostAtMs ?? 0;
  }

  async verifyAll(): Promise<void> {
    const shards = Array.from({ length: this.#billing.numShards }, (_, shard) => shard);
    await Promise.all(shards.map((shard) => this.verify(shard)));
  }

  /** Compares a shard's token with its server, and brings it to its next epoch when they differ. One check at a time. */
  async verify(shard: number): Promise<void> {
    const running = this.#checks.get(shard);
    if (running) return await running;
    const check = this.#verify(shard).finally(() => this.#checks.delete(shard));
    this.#checks.set(shard, check);
    await check;
  }

  /** Compares every shard with Postgres too, as workers do each second: a shard behind Postgres' epoch lost something. */
  async watch(): Promise<void> {
    const rows = await readRows(this.#billing.query);
    for (const [shard, row] of rows) {
      const known = this.#tokens.get(shard);
      if (!known) continue;
      const state = await readShard(this.#billing, shard);
      const same = state.token?.text === known.text && state.replid === known.replid;
      if (same && row.epoch < known.epoch) await record(this.#billing.query, shard, known); // who moved it died before it could
      if (same && row.epoch <= known.epoch) continue;
      this.#tokens.delete(shard);
      await this.verify(shard);
    }
    await this.#billing.query(
      "UPDATE data.shard SET updated_at = now() WHERE updated_at < now() - interval '5 seconds'",
    );
  }

  async #verify(shard: number): Promise<void> {
    const state = await readShard(this.#billing, shard);
    const held = this.#tokens.get(shard);
    if (state.token && state.token.replid === state.replid && (!held || state.token.epoch >= held.epoch)) {
      this.#tokens.set(shard, state.token);
      this.#billing.observe("fence.adopted", { shard, epoch: state.token.epoch });
      return;
    }
    this.#tokens.delete(shard);
    // Emptied: nothing moves. What workers have in hand comes into the books meanwhile, or it is late (late.ts).
    if (!state.token && (await readRows(this.#billing.query)).has(shard)) await sleep(GRACE_MS);
    const settle = () => inTransaction(this.#billing.db, "BEGIN", (query) => settleShard(this.#billing, query, shard));
    this.#tokens.set(shard, await this.#inTurn(settle));
  }

  async #inTurn<T>(settle: () => Promise<T>): Promise<T> {
    const settling = this.#settling.then(settle, settle);
    this.#settling = settling;
    return await settling;
  }
}

/** Under the shard's lock: first start, adoption of what another process decided, restart, or loss. */
async function settleShard(billing: Billing, query: Query, shard: number): Promise<Token> {
  await lockShard(billing, query, shard);
  const state = await readShard(billing, shard);
  const row = (await readRows(query)).get(shard);
  const { token, replid } = state;
  if (token && token.replid === replid && token.epoch >= (row?.epoch ?? 0n)) return await record(query, shard, token);
  if (!token && !row)
    return await record(query, shard, await moveToken(billing, shard, "", { epoch: 1n, replid, lostAtMs: 0, turn: 0 }));

  const behind = await accountsBehind(billing, query, shard);
  const next = (row && row.epoch > (token?.epoch ?? 0n) ? row.epoch : (token?.epoch ?? 0n)) + 1n;
  const kept = token !== undefined && !state.promoted && token.epoch >= (row?.epoch ?? 0n);
  const shut = token?.replid === shutOn(replid); // who shut it died, on this very server: nothing is lost
  const restarted = kept && behind.length === 0 && (await readDurability(billing)).append === "always";
  if (shut || restarted) {
    const { lostAtMs } = token;
    const moved = await moveToken(billing, shard, token.text, { epoch: next, replid, lostAtMs, turn: 0 });
    billing.observe("fence.advanced", { shard, epoch: next });
    return await record(query, shard, moved);
  }
  await runScript(billing.redis, script, [epochKey(shard)], [token?.text ?? "", ""]);
  const to = new Date();
  await tellLoss(billing, shard, { next, replid, to, row, evicted: behind.length });
  for (const key of behind) await billing.ask((redis) => redis.del(key));
  billing.observe("fence.lost", { shard, epoch: next, evicted: behind.length });
  const opened = { epoch: next, replid, lostAtMs: to.getTime(), turn: 0 };
  // The books know the epoch before any account can be loaded in it: what was read in an older one is then known for late (late.ts).
  await record(billing.query, shard, opened);
  return await moveToken(billing, shard, "", opened);
}

type Loss = { next: bigint; replid: string; to: Date; row: Row | undefined; evicted: number };

/** One alert for each loss: whoever tells it again brings it up to date. */
async function tellLoss(billing: Billing, shard: number, { next, replid, to, row, evicted }: Loss): Promise<void> {
  await openAlert(billing.db, {
    level: "critical",
    kind: "lost_epoch",
    key: `${replid}:${next}`,
    message: "Redis restarted, failed over or was emptied, and may have lost the newest deductions.",
    details: { shard, from: row?.seenAt.toISOString() ?? null, to: to.toISOString(), replid, evicted },
  });
}

/** Waits until what is being written into the books of this shard is there. A loss that is certain is told before. */
async function lockShard(billing: Billing, query: Query, shard: number): Promise<void> {
  const key = [ADVISORY_CLASS, shard];
  const [now] = await query<{ got: boolean }>("SELECT pg_try_advisory_xact_lock($1, $2) AS got", key);
  if (now?.got) return;
  // With the shared lock only those who write into the books have it, and nobody is about to set the next token.
  await query("SAVEPOINT looking");
  const [shared] = await query<{ got: boolean }>("SELECT pg_try_advisory_xact_lock_shared($1, $2) AS got", key);
  if (shared?.got) {
    const { token, replid } = await readShard(billing, shard);
    const row = (await readRows(query)).get(shard);
    if (!token && row)
      await tellLoss(billing, shard, { next: row.epoch + 1n, replid, to: new Date(), row, evicted: 0 });
  }
  await query("ROLLBACK TO looking");
  await query("SELECT pg_advisory_xact_lock($1, $2)", key);
}

function lockAll(shards: readonly number[], lock: string): string {
  return `SELECT ${shards.map((shard) => `${lock}(${ADVISORY_CLASS}, ${shard})`).join(", ")}`;
}

/** Never back: a slower process may say what another has moved on. */
async function record<T extends TokenParts>(query: Query, shard: number, token: T): Promise<T> {
  const sql = `INSERT INTO data.shard AS s (shard, epoch, replid, updated_at) VALUES ($1, $2, $3, now())
               ON CONFLICT (shard) DO UPDATE SET epoch = EXCLUDED.epoch, replid = EXCLUDED.replid, updated_at = now()
               WHERE s.epoch <= EXCLUDED.epoch`;
  await query(sql, [shard, token.epoch.toString(), token.replid]);
  return token;
}

async function moveToken(
  billing: Billing,
  shard: number,
  expected: string,
  { epoch, replid, lostAtMs, turn }: TokenParts,
): Promise<Token> {
  const text = `${epoch}:${replid}:${lostAtMs}${turn === 0 ? "" : `:${turn}`}`;
  const reply = replyArray(await runScript(billing.redis, script, [epochKey(shard)], [expected, text]));
  if (reply[3] !== "1") throw new BillingError("fenced", "The balance store changed while it was being checked.");
  return { text, epoch, replid, lostAtMs, turn };
}

async function readShard(billing: Billing, shard: number): Promise<ShardState> {
  const [text = "", replid = "", previous = ""] = replyArray(
    await runScript(billing.redis, script, [epochKey(shard)], []),
  ).map(replyText);
  if (text === "") return { token: undefined, replid, promoted: false };
  const [epoch = "0", writtenOn = "", lostAt = "0", turn = "0"] = text.split(":");
  const parts = { epoch: BigInt(epoch), replid: writtenOn, lostAtMs: Number(lostAt), turn: Number(turn) };
  return { token: { text, ...parts }, replid, promoted: writtenOn !== replid && writtenOn === previous };
}

async function readRows(query: Query): Promise<Map<number, Row>> {
  type ShardRow = { shard: number; epoch: string; replid: string; updated_at: Date };
  const rows = await query<ShardRow>("SELECT shard, epoch, replid, updated_at FROM data.shard");
  return new Map(
    rows.map((row) => [row.shard, { epoch: BigInt(row.epoch), replid: row.replid, seenAt: row.updated_at }]),
  );
}

/** The keys of loaded accounts whose seq in Redis is below what Postgres has settled: proof that Redis lost something. */
async function accountsBehind(billing: Billing, query: Query, shard: number): Promise<string[]> {
  const behind: string[] = [];
  for (const server of redisServers(billing.redis)) {
    let cursor = "0";
    do {
      const [next, keys] = await billing.ask(() =>
        server.scan(cursor, "MATCH", balancePattern(shard), "COUNT", SCAN_PAGE),
      );
      cursor = next;
      if (keys.length > 0) behind.push(...(await filterBehind(billing, query, keys)));
    } while (cursor !== "0");
  }
  return behind;
}

async function filterBehind(billing: Billing, query: Query, keys: string[]): Promise<string[]> {
  const seqs = await Promise.all(keys.map((key) => billing.ask((redis) => redis.hget(key, "q"))));
  const owners = keys.map((key) => ownerOfBalanceKey(key)?.ownerId ?? "");
  const sql = `SELECT coalesce(a.owner_userid, a.owner_tenantid)::text AS owner_id,
                      (SELECT max(l.account_seq) FROM data.account_balance_audit l WHERE l.account_id = a.id) AS last_seq
                 FROM data.account_balance a
                WHERE a.owner_userid::text = ANY($1) OR a.owner_tenantid::text = ANY($1)`;
  const rows = await query<{ owner_id: string; last_seq: string | null }>(sql, [owners]);
  const lastSeqs = new Map(rows.map((row) => [row.owner_id, BigInt(row.last_seq ?? 0)]));
  return keys.filter((_, i) => {
    const seq = seqs[i] ?? null;
    // Deleted since it was listed: it will be loaded from the books, and says nothing of what Redis kept.
    return seq !== null && BigInt(seq) < (lastSeqs.get(owners[i] ?? "") ?? 0n);
  });
}
