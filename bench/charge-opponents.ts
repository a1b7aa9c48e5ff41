// What charges are compared with: Redis alone, Postgres alone, and the design that this replaces. Each gets the care its authors would give.
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { type Billing, formatUnits } from "@drawdown/billing";
import { chargeCommand } from "@drawdown/billing/measured";
import { ensureRedisServer } from "@drawdown/local-stack";
import { Redis } from "ioredis";
import { Pool } from "pg";
import { accountAt, COST_NANOS, chargeOf, RANDOM_DIGITS } from "./charge-requests.ts";
import { inLanes } from "./statistics.ts";

/** Charges per second of one round. */
export type Side = { round(): Promise<number>; close(): Promise<unknown> };

/**
 * `redis-benchmark -P 32` with 8 clients, so as many in flight as the others have, sending the script of a single charge of one account by its
 * digest, each with a request id of its own. Throws when they were not charged.
 */
export async function redisAlone(billing: Billing, redisUrl: string, ms: number): Promise<Side> {
  const server = await ensureRedisServer({ onProgress: () => {} });
  const program = join(dirname(server), server.endsWith("valkey-server") ? "valkey-benchmark" : "redis-benchmark");
  const redis = new Redis(redisUrl);
  const { script, stream, keys, args } = await chargeCommand(billing, chargeOf(accountAt(0), RANDOM_DIGITS));
  await redis.script("LOAD", script.source);
  const command = ["EVALSHA", script.sha, String(keys.length), ...keys, ...args];
  let count = 20_000;
  let rounds = 0;
  const round = async () => {
    rounds += 1;
    // It seeds its numbers with the second and its process id, so two rounds may draw the same ones.
    const own = command.map((part) => part.replace(RANDOM_DIGITS, `${RANDOM_DIGITS}-${rounds}`));
    const before = await redis.xlen(stream);
    const load = ["-P", "32", "-c", "8", "-n", String(count), "-r", String(2 ** 31 - 1), "--csv"];
    const { stdout } = await promisify(execFile)(program, ["-p", new URL(redisUrl).port, ...load, ...own]);
    const perSecond = Number(/^"EVALSHA.*?,"([\d.]+)"/m.exec(stdout)?.[1]);
    const charged = (await redis.xlen(stream)) - before;
    // Two of its random numbers may be the same.
    if (!(charged > count * 0.999)) throw new Error(`redis-benchmark charged ${charged} of ${count}:\n${stdout}`);
    count = Math.ceil((perSecond * ms) / 1_000);
    return perSecond;
  };
  return { round, close: () => redis.quit() };
}

const CLIENTS = 8;

const statements = {
  draw: `UPDATE data.account_balance SET balance = balance - $2::numeric, total_debits = total_debits + $2::numeric
    WHERE id = $1 AND balance >= $2::numeric AND status = 'active' RETURNING balance`,
  use: `INSERT INTO data.usage_log (deduction_id, virtual_key, account_id, account_type, provider, model, cost, created_at, input_tokens, output_tokens,
      total_tokens, metadata_json, balance_before, balance_after, request_id, usage_source, settled_at, balance_check)
    VALUES ($1, $2, $3, 'user', $4, $5, $6::numeric, now(), $7, $8, $9, $10, $11::numeric + $6::numeric, $11::numeric, $12, 'provider', now(), 'ok')
    RETURNING id, balance_before`,
  audit: `INSERT INTO data.account_balance_audit (deduction_id, account_id, account_type, amount, source, audit_category, usage_log_id,
      balance_before, balance_after) VALUES ($1, $2, 'user', -$3::numeric, 'api_gateway', 'usage', $4, $5::numeric, $6::numeric)`,
};

/** One transaction a charge, into the same tables, by prepared statements: a conditional UPDATE and two INSERTs. */
export async function postgresAlone(databaseUrl: string, ms: number): Promise<Side> {
  const pool = new Pool({ connectionString: databaseUrl, max: CLIENTS });
  pool.on("error", () => {}); // cut off when its server stops
  const id = "('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid";
  await pool.query(`INSERT INTO data.user_profile (id) SELECT ${id} FROM generate_series(0, 999) n;
    INSERT INTO data.virtual_key (virtual_key, user_id) VALUES ('vk_0123456789abcdef', '00000000-0000-4000-8000-000000000000');
    INSERT INTO data.account_balance (id, owner_userid, balance) SELECT ${id}, ${id}, 1000000 FROM generate_series(0, 999) n`);
  const cost = formatUnits(COST_NANOS);
  let next = 0;
  const ask = async () => {
    next += 1;
    const drawn = chargeOf(accountAt(next % 1_000), next.toString().padStart(12, "0"));
    const { account, requestId, virtualKey, provider, model, inputTokens, outputTokens, metadata } = drawn;
    const deductionId = `ded_${requestId}`;
    const client = await pool.connect();
    const run = async (name: keyof typeof statements, values: unknown[]) =>
      (await client.query<Record<string, string>>({ name, text: statements[name], values })).rows[0];
    await client.query("BEGIN");
    const after = await run("draw", [account.id, cost]);
    if (after === undefined) throw new Error("a charge was refused");
    const tokens = [inputTokens, outputTokens, inputTokens + outputTokens];
    const fields = [
      deductionId,
      virtualKey,
      account.id,
      provider,
      model,
      cost,
      ...tokens,
      metadata,
      after.balance,
      requestId,
    ];
    const row = await run("use", fields);
    await run("audit", [deductionId, account.id, cost, row?.id, row?.balance_before, after.balance]);
    await client.query("COMMIT");
    client.release();
  };
  return { round: () => inLanes(CLIENTS, ms, ask), close: () => pool.end() };
}

const drawReplaced = `local balance = tonumber(redis.call('GET', KEYS[1]) or '0')
local cost = tonumber(ARGV[1])
if balance < cost then return {0, tostring(balance)} end
redis.call('SET', KEYS[1], tostring(balance - cost))
return {1, tostring(balance - cost)}`;

/**
 * The design that this replaces, through the client it used: three reads that each need the one before (whose key it is, what account that is,
 * its balance), a script that draws the balance down, and the entry after it.
 */
export async function replacedDesign(redisUrl: string, lanes: number, ms: number): Promise<Side> {
  const redis = new Redis(redisUrl);
  for (let n = 0; n < 1_000; n += 1) {
    const { id, type } = accountAt(n);
    const account = JSON.stringify({ id, type, owner: id });
    await redis.mset(
      `replaced:key:vk_${n}`,
      id,
      `replaced:account:${id}`,
      account,
      `replaced:balance:${type}:${id}`,
      "1000",
    );
  }
  const cost = formatUnits(COST_NANOS);
  let next = 0;
  const ask = async () => {
    next += 1;
    const virtualKey = `vk_${next % 1_000}`;
    const { provider, model, inputTokens, outputTokens } = chargeOf(accountAt(0), "");
    const id = await redis.get(`replaced:key:${virtualKey}`);
    const account = JSON.parse((await redis.get(`replaced:account:${id}`)) ?? "") as { type: string; owner: string };
    const balanceKey = `replaced:balance:${account.type}:${account.owner}`;
    const before = await redis.get(balanceKey);
    if (before === null || Number(before) < Number(cost)) throw new Error("a charge was refused");
    const [drawn] = (await redis.eval(drawReplaced, 1, balanceKey, cost)) as [number, string];
    if (drawn !== 1) throw new Error("a charge was refused");
    const entry = {
      deduction_id: randomUUID(),
      account_id: id ?? "",
      account_type: account.type,
      virtual_key: virtualKey,
      cost,
      currency: "USD",
      provider,
      model,
      input_tokens: String(inputTokens),
      output_tokens: String(outputTokens),
      total_tokens: String(inputTokens + outputTokens),
      timestamp: new Date().toISOString(),
    };
    await redis.xadd(`replaced:stream:${next % 16}`, "MAXLEN", "~", "10000", "*", ...Object.entries(entry).flat());
  };
  return { round: () => inLanes(lanes, ms, ask), close: () => redis.quit() };
}
