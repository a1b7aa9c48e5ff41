// Texts that attack, and every place where somebody outside may write one.
import { GROUP, shardOf, streamKey } from "@drawdown/billing";
import { waitFor } from "@drawdown/local-stack";
import type { Stage } from "./stage/open.ts";

const attack = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>"'&\u202Eevil\u2066{{7*7}}\${7*7}`;
/** As long as an entry's texts may be, without a place to break. */
export const word = attack + "W".repeat(512 - attack.length);
/** For columns that bound nothing. */
const endless = attack + "W".repeat(10_000);

export type Written = { accountId: string; operationId: string; deductionId: string };

/** Through the stream as an outsider's producer writes it, and in the books where only they bound the text. */
export async function writeEverywhere(stage: Stage): Promise<Written> {
  const { account_balance_id: accountId, owner_id: ownerId, virtual_key: key } = stage.key(0);
  const deductionId = word;
  await appendEntries(stage, accountId);
  await stage.settled(deductionId);
  const operationId = crypto.randomUUID();
  const json = JSON.stringify({ [attack]: endless, list: [attack, endless] });
  const statements: [string, unknown[]][] = [
    ["UPDATE data.user_profile SET name = $1, email = $1 WHERE id = $2", [endless, ownerId]],
    ["UPDATE data.tenant SET name = $1", [endless]],
    ["INSERT INTO data.customer_type (name) VALUES ($1)", [word]],
    ["UPDATE data.virtual_key SET name = $1 WHERE virtual_key = $2", [endless, key]],
    ["INSERT INTO data.virtual_key (virtual_key, user_id, name) VALUES ($1, $2, $3)", [word, ownerId, endless]],
    ["INSERT INTO data.provider (name, base_url, shape) VALUES ($1, $2, 'openai')", [word, `http://${endless}`]],
    [
      "INSERT INTO data.model_price (provider, model, price_model, request_price, source) VALUES ($1, $1, 'per_request', 0.01, $2)",
      [word, word],
    ],
    [
      "INSERT INTO data.alert (level, kind, key, message, details) VALUES ('critical', 'backlog', $1, $2, $3)",
      [word, endless, json],
    ],
    [
      "INSERT INTO data.operator_action (id, actor, role, action, reason, targets, before, after, result, finished_at) VALUES ($1, $2, 'admin', $3, $4, $5, $6, $6, $6, now())",
      [operationId, word, "give_credit", endless, JSON.stringify([accountId, word]), json],
    ],
    [
      `INSERT INTO data.refusal (created_at, account_id, virtual_key, request_id, code, provider, model, currency, balance, held, credit_limit, required)
       VALUES (now(), $1, $2, $2, 'insufficient_balance', $2, $2, 'USD', 1, 0, 0, 2)`,
      [accountId, word],
    ],
    [
      `INSERT INTO data.uncaptured_hold (hold_id, account_id, virtual_key, request_id, provider, model, amount, opened_at, expired_at)
       VALUES ($1, $2, $1, $1, $1, $1, 1, now(), now())`,
      [word, accountId],
    ],
    ["SELECT data.post_credit($1, 1.5, 'adjustment', $2, $3, $2)", [accountId, word, endless]],
    ["UPDATE data.operator SET name = $1 WHERE role = 'support'", [endless]],
    [
      "INSERT INTO data.saved_view (operator_id, page, name, query) SELECT id::text, unnest($1::text[]), $2, $3 FROM data.operator",
      [
        ["deductions", "accounts", "dead-letters", "operations"],
        word.slice(0, 200),
        `model=${encodeURIComponent(attack)}`,
      ],
    ],
  ];
  for (const [sql, values] of statements) await stage.rows(sql, values);
  return { accountId, operationId, deductionId };
}

/** One that settles, one that becomes a dead letter, and one that a consumer with such a name holds. */
async function appendEntries(stage: Stage, accountId: string): Promise<void> {
  const { redis, numShards } = await stage.billing();
  const stream = streamKey(shardOf(accountId, numShards));
  const texts = { virtual_key: word, provider: word, model: word, request_id: word };
  const entry = {
    deduction_id: word,
    account_id: accountId,
    account_type: "user",
    cost: "0.25",
    currency: "USD",
    ...texts,
  };
  const metadata = JSON.stringify({ [attack]: endless, nested: { [word]: [attack] } });
  const append = (fields: Record<string, string>) => redis.xadd(stream, "*", ...Object.entries(fields).flat());
  await append({ ...entry, metadata });
  await append({ ...entry, deduction_id: `${attack}2`, cost: attack, [attack]: endless, provider: endless });
  const letters = "SELECT FROM data.dead_letter WHERE state = 'open'";
  await waitFor(async () => (await stage.rows(letters)).length === 1, { timeoutMs: 30_000, what: "the dead letter" });
  await stage.rows("UPDATE data.dead_letter SET error_message = $1, error_class = $2", [endless, word]);
  await stage.worker.stop();
  await append({ ...entry, deduction_id: `${attack}3`, metadata });
  await redis.xreadgroup("GROUP", GROUP, word, "COUNT", 10, "STREAMS", stream, ">");
}
