import { randomUUID } from "node:crypto";
import { parseUnits, type Refusal } from "@drawdown/billing";
import { closeDb, connectDb, type Db, listRefusals } from "@drawdown/db";
import { type TestDatabase, testDatabase, waitFor } from "@drawdown/local-stack";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Caller } from "../src/gateway/keys.ts";
import { gatewayMetrics } from "../src/gateway/metrics.ts";
import { Refusals } from "../src/gateway/refusals.ts";
import { openLog } from "../src/log.ts";
import { balanceOf, openStage, post, run, type Stage } from "./stage.ts";

const within = { timeoutMs: 20_000 };

describe("refusals behind their answers", () => {
  let database: TestDatabase;
  let db: Db;
  beforeAll(async () => {
    database = await testDatabase();
    db = connectDb(database.url);
  });
  afterAll(async () => {
    await closeDb(db);
    await database.drop();
  });

  const aCaller = (id: string): Caller => ({
    virtualKey: "vk_1",
    account: { id, ownerId: id, type: "user", currency: "USD" },
    customerTypeId: null,
    customerTypeMismatch: false,
    limits: { allowedModels: null, spendLimit: null, requestsPerMinute: null, holdPolicy: null, leavePolicy: null },
  });
  const refused = (requestId: string, reason: Refusal["reason"] = "insufficient_balance") => ({
    refusal: {
      outcome: "refused",
      reason,
      balanceNanos: 5n,
      heldNanos: 3n,
      availableNanos: 12n,
      requiredNanos: parseUnits("900000000.5"),
    } as const,
    asked: { requestId, provider: "openai", model: "gpt-4o" },
  });
  const open = () => {
    const metrics = gatewayMetrics();
    const refusals = new Refusals(db, metrics, openLog("gateway", { level: "fatal", secrets: [] }));
    const dropped = async () =>
      Object.fromEntries(
        (await metrics.refusalsDropped.get()).values.map(({ labels, value }) => [labels.reason, value]),
      );
    return { refusals, dropped };
  };
  const kept = async (account: string) => (await listRefusals(db, account)).map(({ requestId }) => requestId);

  it("are written within seconds, exact, and only 402s are", async () => {
    const { refusals } = open();
    const account = randomUUID();
    refusals.add(aCaller(account), refused("a"));
    refusals.add(aCaller(account), refused("frozen", "account_frozen"));
    await waitFor(async () => (await kept(account)).length > 0, { ...within, what: "the refusal to be written" });
    expect(await listRefusals(db, account)).toMatchObject([
      {
        requestId: "a",
        balance: "0.000000005",
        held: "0.000000003",
        creditLimit: "0.000000010",
        required: "900000000.500000000",
        price: null,
      },
    ]);
    await refusals.stop();
  });

  it("of a flood keep the newest of each account, bounded in memory, and count what is dropped; a stop writes the rest", async () => {
    const { refusals, dropped } = open();
    const [noisy, quiet] = [randomUUID(), randomUUID()];
    refusals.add(aCaller(quiet), refused("quiet"));
    for (let i = 0; i < 5_000; i++) refusals.add(aCaller(noisy), refused(`noisy ${i}`));
    for (let i = 0; i < 3_000; i++) refusals.add(aCaller(randomUUID()), refused("many accounts"));
    expect(await dropped()).toEqual({ newer_came: 4_900, queue_full: 3_000 - (2_000 - 101) });
    await refusals.stop();
    expect(await kept(quiet)).toEqual(["quiet"]);
    expect(await kept(noisy)).toEqual(Array.from({ length: 100 }, (_, i) => `noisy ${4_999 - i}`));
    expect(await dropped()).toMatchObject({ queue_full: 1_101 });
  });

  it("wait while the books refuse them, the newest first to stay, and are written once when they can be", async () => {
    const { refusals, dropped } = open();
    const account = randomUUID();
    await db.$client.query("ALTER TABLE data.refusal RENAME TO refusal_away");
    for (let i = 0; i < 60; i++) refusals.add(aCaller(account), refused(`before ${i}`));
    const more = setInterval(() => refusals.add(aCaller(account), refused(`after ${Date.now()}`)), 20);
    await waitFor(async () => ((await dropped())["newer_came"] ?? 0) > 0, {
      ...within,
      what: "older ones to be dropped",
    });
    clearInterval(more);
    await db.$client.query("ALTER TABLE data.refusal_away RENAME TO refusal");
    const written = await waitFor(
      async () => ((await kept(account)).length === 100 ? await kept(account) : undefined),
      {
        ...within,
        what: "the refusals to be written",
      },
    );
    expect(new Set(written).size).toBe(100);
    expect(written[0]).toMatch(/^after/);
    await refusals.stop();
  });
});

describe("drawdown refusals", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await openStage();
  });
  afterAll(() => stage?.stop());

  it("answers why a request was refused at its moment, for each way to be refused, also after a stop", {
    timeout: 90_000,
  }, async () => {
    const { user1: key, gatewayUrl, db } = stage;
    const begun = new Date();
    const chatId = randomUUID();
    await db.$client.query("SELECT data.post_credit($1, -999.999999, 'adjustment', NULL, 'a test', 'test')", [
      stage.user2.account_balance_id,
    ]);
    await expect
      .poll(async () => (await balanceOf(stage, stage.user2)).balance, { timeout: within.timeoutMs })
      .toBe("0.000001000");
    const body = { model: "gpt-4o", messages: [{ role: "user", content: "Hello" }], max_tokens: 1_000 };
    const chat = await post(`${gatewayUrl}/v1/chat/completions`, stage.user2.api_key, body, {
      "idempotency-key": chatId,
    });
    const { error } = (await chat.json()) as { error: Record<string, string> };
    const hold = await post(`${gatewayUrl}/v1/holds`, key.api_key, { amount: "5000", request_id: "hold ✓" });
    const charges = await Promise.all(
      Array.from({ length: 300 }, (_, i) => {
        const usage = { prompt_tokens: 9e12, completion_tokens: i };
        return post(`${gatewayUrl}/v1/charges`, key.api_key, { model: "gpt-4o", usage, request_id: `charge ${i}` });
      }),
    );
    expect([chat, hold, ...charges].map(({ status }) => status)).toEqual(Array.from({ length: 302 }, () => 402));
    const last = await post(`${gatewayUrl}/v1/holds`, key.api_key, {
      amount: "5000",
      model: "gpt-4o",
      request_id: "last",
    });
    expect(last.status).toBe(402);
    stage.gateway.signal("SIGTERM");
    expect((await stage.gateway.exited).code).toBe(0);

    const ask = async (...args: string[]) => {
      const { stdout } = await run(["refusals", ...args, "--json"], stage.env);
      return (JSON.parse(stdout) as { refusals: Record<string, unknown>[] }).refusals;
    };
    const all = await ask("--account", key.owner_id, "--since", begun.toISOString());
    expect(all).toHaveLength(100);
    const [newest] = all;
    expect(newest).toMatchObject({
      request_id: "last",
      code: "insufficient_balance",
      virtual_key: key.virtual_key,
      provider: "external",
      model: "gpt-4o",
      currency: "USD",
      balance: "1000.000000000",
      held: "0.000000000",
      credit_limit: "0.000000000",
      required: "5000.000000000",
      price: null,
      estimate: null,
    });
    expect(all[1]).toMatchObject({ provider: "openai", estimate: { input_tokens: 9e12 }, price: { currency: "USD" } });
    expect(await ask("--account", key.account_balance_id, "--since", "2099-01-01")).toEqual([]);
    const [chatted, ...more] = await ask("--account", stage.user2.owner_id);
    expect(more).toEqual([]);
    expect(chatted).toMatchObject({
      request_id: chatId,
      provider: "openai",
      model: "gpt-4o",
      balance: "0.000001000",
      required: error["required"],
      estimate: { wanted: expect.any(String), input_tokens: expect.any(Number), output_tokens: expect.any(Number) },
      price: { rates: { input: expect.stringMatching(/^\d+\.\d{12}$/) } },
    });
    const text = (await run(["trace", chatId], stage.env)).stdout;
    expect(text).toContain(`${chatId} is refused`);
    expect(text).toContain(`insufficient_balance: ${error["required"]} USD may be needed`);
    const { rows } = await db.$client.query("SELECT count(*)::int AS count FROM data.refusal");
    expect(rows).toEqual([{ count: 101 }]);
  });
});
