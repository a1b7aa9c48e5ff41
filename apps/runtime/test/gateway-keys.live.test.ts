import { randomUUID } from "node:crypto";
import { revokeKey } from "@drawdown/billing";
import { freePort, waitFor } from "@drawdown/local-stack";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { answers, openStage, post, receivedCount, run, type Stage, start, type UsageRow } from "./stage.ts";

let stage: Stage;
let second: { url: string; stop: () => Promise<void> };
beforeAll(async () => {
  stage = await openStage();
  const port = await freePort();
  const gateway = start(["gateway", "--port", String(port)], stage.env);
  second = {
    url: `http://127.0.0.1:${port}`,
    stop: async () => {
      gateway.signal("SIGTERM");
      await gateway.exited;
    },
  };
  await answers(`${second.url}/readyz`, 200);
});
afterAll(async () => {
  await second?.stop();
  await stage?.stop();
});

type Made = Record<string, unknown> & { api_key: string; virtual_key: string; account_balance_id: string };

/** Runs a command whose standard output must be one JSON document. */
async function drawdown<T = Record<string, unknown>>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await run([...args, "--json"], stage.env);
  if (code !== 0) throw new Error(`${args.join(" ")} exited ${code}: ${stderr}`);
  return JSON.parse(stdout) as T;
}
const create = (...args: string[]) =>
  drawdown<Made>("keys", "create", "--account", stage.user1.account_balance_id, ...args);
const refusedCommand = async (...args: string[]) => {
  const { code, stdout, stderr } = await run([...args, "--json"], stage.env);
  expect([code, (JSON.parse(stdout) as { error: { code: string } }).error.code]).toEqual([1, expect.any(String)]);
  return stderr;
};

const usage = { prompt_tokens: 1_000, completion_tokens: 0 }; // 0.0025 at gpt-4o's price
const aCharge = { provider: "openai", model: "gpt-4o", usage };
const charge = (apiKey: string, more: object = {}, url = stage.gatewayUrl) =>
  post(`${url}/v1/charges`, apiKey, { ...aCharge, ...more });
const chat = (apiKey: string, content: string, more: object = {}, url = stage.gatewayUrl) =>
  post(`${url}/v1/chat/completions`, apiKey, { model: "gpt-4o", messages: [{ role: "user", content }], ...more });
const read = async (response: Promise<Response>) => {
  const { status, headers, ...rest } = await response.then(async (r) => ({
    status: r.status,
    headers: r.headers,
    body: (await r.json()) as { error: Record<string, string> },
  }));
  return { status, code: rest.body.error?.["code"], error: rest.body.error, headers };
};

describe("a key from the command line", () => {
  it("works at once, is shown with its limits and never its secret, and only a hash of that is stored", {
    timeout: 90_000,
  }, async () => {
    const expires = new Date(Date.now() + 3_600_000).toISOString();
    const made = await create(
      "--name",
      "ci",
      "--expires",
      expires,
      "--models",
      "gpt-4o,claude-*",
      "--rpm",
      "60",
      "--actor",
      "ann",
    );
    const limits = ["--spend-limit", "2.5", "--spend-period", "month"];
    const limited = await create(...limits);
    expect(made).toMatchObject({
      account_balance_id: stage.user1.account_balance_id,
      name: "ci",
      status: "active",
      expires_at: expires,
      allowed_models: ["gpt-4o", "claude-*"],
      requests_per_minute: 60,
      spend_limit: null,
      created_by: "ann",
    });
    expect(limited).toMatchObject({ spend_limit: "2.500000000", spend_period: "month", allowed_models: null });
    expect((await charge(made.api_key)).status).toBe(200);
    const secret = made.api_key.slice(made.virtual_key.length + 1);
    const listed = await run(["keys", "list", "--account", stage.user1.owner_id, "--json"], stage.env);
    expect(listed.stdout).toContain(made.virtual_key);
    expect(listed.stdout).not.toContain(secret);
    const { keys } = JSON.parse(listed.stdout) as { keys: Made[] };
    const { api_key: _, operation_id: operation, ...shown } = made;
    expect(keys.find(({ virtual_key: key }) => key === made.virtual_key)).toEqual(shown);
    const { rows } = await stage.db.$client.query<{ row: string }>(
      "SELECT k::text || o::text AS row FROM data.virtual_key k, data.operator_action o WHERE virtual_key = $1 AND o.id = $2",
      [made.virtual_key, operation],
    );
    expect(rows[0]?.row).toContain("create_key");
    expect(rows[0]?.row).not.toContain(secret);
  });

  it("is refused when nobody pays for it, or a limit cannot be kept", { timeout: 90_000 }, async () => {
    expect(await refusedCommand("keys", "create")).toMatch(/--account/);
    expect(await refusedCommand("keys", "create", "--account", randomUUID())).toMatch(/No user/);
    expect(await refusedCommand("keys", "create", "--account", stage.tenant1.owner_id)).toMatch(/several users/);
    const mine = ["keys", "create", "--account", stage.user1.owner_id];
    expect(await refusedCommand(...mine, "--spend-limit", "5")).toMatch(/belong together/);
    expect(await refusedCommand(...mine, "--spend-limit", "-5", "--spend-period", "day")).toMatch(/below zero|amount/);
    expect(await refusedCommand(...mine, "--rpm", "0")).toMatch(/--rpm/);
    expect(await refusedCommand(...mine, "--models", "gpt-4o,,x")).toMatch(/models/);
    expect(await refusedCommand(...mine, "--expires", "2001-01-01")).toMatch(/future/);
    expect(await refusedCommand("keys", "revoke", "vk_nobody")).toMatch(/no such key/i);
  });

  it("that expires is 401 from its moment on", async () => {
    const made = await create("--expires", "1h");
    expect((await charge(made.api_key)).status).toBe(200);
    await stage.db.$client.query(
      "UPDATE data.virtual_key SET expires_at = now() + interval '1 s' WHERE virtual_key = $1",
      [made.virtual_key],
    );
    await expect.poll(async () => (await charge(made.api_key)).status, { timeout: 10_000 }).toBe(401);
  });

  it("revoked in the middle of a stream: the stream ends whole and billed, every gateway refuses the next request", {
    timeout: 90_000,
  }, async () => {
    const made = await create();
    const streaming = await chat(made.api_key, "[upstream: pace=150, tokens=20] Tell me", { stream: true });
    const elsewhere = await charge(made.api_key, {}, second.url);
    expect([streaming.status, elsewhere.status]).toEqual([200, 200]);
    const deduction = streaming.headers.get("x-drawdown-deduction-id");
    const reader = streaming.body?.getReader();
    await reader?.read();
    const act = { actor: "ann", role: "admin", reason: "it leaked" };
    expect(await revokeKey({ db: stage.db }, made.virtual_key, act)).toMatchObject({ outcome: "revoked" });
    const revokedAt = performance.now();
    for (const url of [stage.gatewayUrl, second.url])
      await expect
        .poll(async () => (await charge(made.api_key, {}, url)).status, { interval: 20, timeout: 10_000 })
        .toBe(401);
    expect(performance.now() - revokedAt).toBeLessThan(1_000);
    let text = "";
    for (let piece = await reader?.read(); piece?.value; piece = await reader?.read())
      text += Buffer.from(piece.value).toString();
    expect(text).toContain("[DONE]");
    const row = await waitFor(
      async () => {
        const sql =
          "SELECT * FROM data.usage_log WHERE virtual_key = $1 AND deduction_id = $2 AND settled_at IS NOT NULL";
        return (await stage.db.$client.query<UsageRow>(sql, [made.virtual_key, deduction])).rows[0];
      },
      { timeoutMs: 20_000, what: "the stream's deduction to settle" },
    );
    expect(row).toMatchObject({ usage_source: "provider", output_tokens: "20" });
    expect(await drawdown("keys", "revoke", made.virtual_key)).toMatchObject({ status: "revoked" });
    const another = await create();
    const revoked = await drawdown("keys", "revoke", another.virtual_key, "--reason", "it leaked");
    expect(revoked).toMatchObject({
      status: "revoked",
      operation_id: expect.any(String),
      revoked_at: expect.any(String),
    });
    await expect.poll(async () => (await charge(another.api_key)).status, { timeout: 10_000 }).toBe(401);
  });
});

describe("a key's models", () => {
  it("403 model_not_allowed on every route, and /v1/models shows only what is allowed", async () => {
    const made = await create("--models", "GPT-4o-mini,openai/o3-mini,claude-*");
    const received = await receivedCount(stage);
    for (const send of [
      () => chat(made.api_key, "Hello"),
      () => charge(made.api_key),
      () => post(`${stage.gatewayUrl}/v1/holds`, made.api_key, aCharge),
      () => post(`${stage.gatewayUrl}/v1/holds`, made.api_key, { amount: "1" }),
      () => post(`${stage.gatewayUrl}/v1/holds`, made.api_key, { amount: "1", provider: "openai", model: "gpt-4o" }),
      () => post(`${stage.gatewayUrl}/v1/embeddings`, made.api_key, { model: "text-embedding-3-small", input: "hi" }),
      () => chat(made.api_key, "Hello", { model: "azure/gpt-4o-mini" }),
    ])
      expect(await read(send())).toMatchObject({ status: 403, code: "model_not_allowed" });
    expect(await receivedCount(stage)).toBe(received);
    for (const model of ["gpt-4o-mini", "openai/gpt-4o-mini", "o3-mini"])
      expect([model, (await chat(made.api_key, "Hello", { model })).status]).toEqual([model, 200]);
    const models = await fetch(`${stage.gatewayUrl}/v1/models`, { headers: { "x-api-key": made.api_key } });
    const { data } = (await models.json()) as { data: { id: string }[] };
    const ids = data.map(({ id }) => id);
    expect(ids).toEqual(expect.arrayContaining(["gpt-4o-mini", "o3-mini"]));
    expect(ids.some((id) => id.startsWith("claude-"))).toBe(true);
    expect(ids.filter((id) => !/^(gpt-4o-mini|o3-mini|claude-.*)$/.test(id))).toEqual([]);
  });

  it("a capture is not refused for its model: the service was given", async () => {
    const made = await create("--models", "gpt-4o-mini");
    const held = await post(`${stage.gatewayUrl}/v1/holds`, made.api_key, { ...aCharge, model: "gpt-4o-mini" });
    const { hold_id: id } = (await held.json()) as { hold_id: string };
    expect((await post(`${stage.gatewayUrl}/v1/holds/${id}/capture`, made.api_key, aCharge)).status).toBe(200);
  });
});

describe("a key's requests per minute", () => {
  it("429 rate_limited with Retry-After across gateways; reading and captures do not count, nothing reaches the provider", async () => {
    const made = await create("--rpm", "5");
    const held = await post(`${stage.gatewayUrl}/v1/holds`, made.api_key, { amount: "0.01" });
    const { hold_id: id } = (await held.json()) as { hold_id: string };
    const received = await receivedCount(stage);
    const all = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        chat(made.api_key, "Hi", { max_tokens: 5 }, i % 2 === 0 ? stage.gatewayUrl : second.url),
      ),
    );
    expect(all.filter(({ status }) => status === 200)).toHaveLength(4);
    expect(await receivedCount(stage)).toBe(received + 4);
    const limited = await read(charge(made.api_key));
    expect(limited).toMatchObject({ status: 429, code: "rate_limited", error: { type: "rate_limit_error" } });
    const retryAfter = limited.headers.get("retry-after") ?? "";
    expect(retryAfter).toMatch(/^[1-9]\d?$/);
    expect(Number(retryAfter)).toBeLessThanOrEqual(60);
    expect((await fetch(`${stage.gatewayUrl}/v1/balance`, { headers: { "x-api-key": made.api_key } })).status).toBe(
      200,
    );
    expect((await post(`${stage.gatewayUrl}/v1/holds/${id}/capture`, made.api_key, { amount: "0.01" })).status).toBe(
      200,
    );
  });
});

describe("a key's spend limit", () => {
  it("402 spend_limit, exact over two gateways, charges and holds at once, kept with its figures and told by trace", async () => {
    const made = await create("--spend-limit", "0.025", "--spend-period", "day");
    const all = await Promise.all(
      Array.from({ length: 30 }, (_, i) => {
        const url = i % 2 === 0 ? stage.gatewayUrl : second.url;
        return i % 3 === 0
          ? post(`${url}/v1/holds`, made.api_key, { amount: "0.0025" })
          : charge(made.api_key, {}, url);
      }),
    );
    expect(all.filter(({ status }) => status === 200)).toHaveLength(10);
    expect(all.filter(({ status }) => status === 402)).toHaveLength(20);
    const request = randomUUID();
    const refused = await read(charge(made.api_key, { request_id: request }));
    expect(refused).toMatchObject({
      status: 402,
      code: "spend_limit",
      error: { limit: "0.025000000", period: "day", required: "0.002500000" },
    });
    expect(refused.headers.get("x-should-retry")).toBe("false");
    const { spent, reserved } = refused.error;
    expect(Number(spent) + Number(reserved)).toBeCloseTo(0.025, 9);
    const traced = await waitFor(async () => await drawdown("trace", request).catch(() => undefined), {
      timeoutMs: 20_000,
      what: "the refusal to be on record",
    });
    expect(traced).toMatchObject({
      state: "refused",
      refusals: [
        {
          code: "spend_limit",
          virtual_key: made.virtual_key,
          provider: "openai",
          model: "gpt-4o",
          required: "0.002500000",
          spend_limit: "0.025000000",
          spend_period: "day",
          spent,
          reserved,
          estimate: { input_tokens: 1_000, output_tokens: 0 },
          price: { rates: { input: "0.000002500000" } },
        },
      ],
    });
    expect((await charge(stage.user1.api_key)).status).toBe(200);
  });

  it("a proxied call holds what is left of the limit when that covers the prompt and a short answer", async () => {
    const made = await create("--spend-limit", "0.02", "--spend-period", "week");
    expect((await chat(made.api_key, "Hello", { max_tokens: 10_000 })).status).toBe(200);
    const strict = await create("--spend-limit", "0.02", "--spend-period", "week", "--hold-policy", "worst_case");
    expect(strict).toMatchObject({ hold_policy: "worst_case" });
    const worst = await read(chat(strict.api_key, "Hello", { max_tokens: 10_000 }));
    expect(worst).toMatchObject({ status: 402, code: "spend_limit" });
    expect(Number(worst.error["required"])).toBeGreaterThan(0.1);
    const refused = await read(chat(made.api_key, "Hello ".repeat(20_000), { max_tokens: 10 }));
    expect(refused).toMatchObject({ status: 402, code: "spend_limit" });
  });
});

describe("a client that leaves a stream", () => {
  it("pays what the provider says that was used, or what came until then: as its key's policy is", async () => {
    for (const [made, expected] of [
      [await create(), { usage_source: "provider", output_tokens: "40" }],
      [await create("--leave-policy", "cut"), { usage_source: "partial", leave_policy: "cut" }],
    ] as const) {
      const request_id = randomUUID();
      const leave = new AbortController();
      const sent = await fetch(`${stage.gatewayUrl}/v1/chat/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${made.api_key}` },
        body: JSON.stringify({
          model: "gpt-4o",
          messages: [{ role: "user", content: "[upstream: pace=50, tokens=40] leave" }],
          stream: true,
          request_id,
        }),
        signal: leave.signal,
      });
      let text = "";
      for await (const bytes of sent.body ?? []) {
        text += Buffer.from(bytes).toString();
        if (text.split('"content"').length > 5) break; // its first words have come
      }
      leave.abort();
      const row = await waitFor(
        async () => {
          const sql =
            "SELECT usage_source, output_tokens FROM data.usage_log WHERE request_id = $1 AND settled_at IS NOT NULL";
          return (await stage.db.$client.query<UsageRow>(sql, [request_id])).rows[0];
        },
        { timeoutMs: 20_000, what: "the stream to be settled" },
      );
      const { leave_policy } = made;
      expect({ ...row, leave_policy }).toMatchObject(expected);
      if (leave_policy === "cut") expect(Number(row.output_tokens)).toBeLessThan(20);
    }
  });
});
