import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrate } from "@drawdown/db";
import { freePort, startPostgres, testRedis, waitFor } from "@drawdown/local-stack";
import { afterEach, describe, expect, it } from "vitest";
import {
  answers,
  balanceOf,
  openStage,
  post,
  providerKey,
  receivedCount,
  run,
  type Stage,
  type Started,
  start,
} from "./stage.ts";

let stage: Stage | undefined;
afterEach(async () => {
  await stage?.stop();
  stage = undefined;
});

const ask = (content: string) => ({ model: "gpt-4o", messages: [{ role: "user", content }] });
const charge = (request_id: string) => ({
  provider: "openai",
  model: "gpt-4o",
  usage: { prompt_tokens: 10, completion_tokens: 10 },
  request_id,
});

async function settledIds(open: Stage): Promise<Set<string>> {
  const sql = "SELECT request_id FROM data.usage_log WHERE settled_at IS NOT NULL";
  const { rows } = await open.db.$client.query<{ request_id: string }>(sql);
  return new Set(rows.map((row) => row.request_id));
}

/** Waits until the process has written that; else says what it wrote. */
async function said(started: Started, text: string): Promise<void> {
  const found = waitFor(() => started.stderr().includes(text), {
    timeoutMs: 40_000,
    what: `a process to say: ${text}`,
  });
  await found.catch((error: unknown) => {
    throw new Error(`it said only:\n${started.stderr()}`, { cause: error });
  });
}

const saidReady = async (started: Started) => await said(started, '"ready"');
const saidAway = async (started: Started) => await said(started, "a store is away");

async function refusesConnections(url: string): Promise<boolean> {
  return await fetch(url).then(
    () => false,
    () => true,
  );
}

describe("SIGTERM and SIGINT", () => {
  it("5: a gateway that is stopped, twice, finishes and charges what is in flight, frees its port and exits 0", async () => {
    stage = await openStage();
    const url = `${stage.gatewayUrl}/v1/chat/completions`;
    const { api_key: key } = stage.user1;
    const inFlight = [
      post(url, key, { ...ask("[upstream: slow=1500] plain"), request_id: "plain" }),
      post(url, key, { ...ask("[upstream: pace=150] stream"), stream: true, request_id: "stream" }),
    ].map(async (sent) => [(await sent).status, await (await sent).text()] as const);
    const open = stage;
    await waitFor(async () => (await receivedCount(open)) === 2, {
      timeoutMs: 5_000,
      what: "both to reach the provider",
    });
    const stoppedAt = performance.now();
    stage.gateway.signal("SIGTERM");
    stage.gateway.signal("SIGINT");
    const [plain, stream] = await Promise.all(inFlight);
    expect(plain?.[0]).toBe(200);
    expect(stream?.[1]).toContain("[DONE]");
    expect(await stage.gateway.exited).toMatchObject({ code: 0, signal: null });
    expect(performance.now() - stoppedAt).toBeLessThan(10_000);
    expect(await refusesConnections(`${stage.gatewayUrl}/healthz`)).toBe(true);
    await expect.poll(() => settledIds(open), { timeout: 15_000 }).toEqual(new Set(["plain", "stream"]));
  });

  it("5: a stream too long to wait for is cut, charged as far as it came, and the exit is still 0 in time", async () => {
    stage = await openStage();
    const sent = post(`${stage.gatewayUrl}/v1/chat/completions`, stage.user1.api_key, {
      ...ask("[upstream: pace=100, tokens=600] long"),
      stream: true,
      request_id: "too-long",
    });
    const text = sent.then((response) => response.text());
    const open = stage;
    await waitFor(async () => (await receivedCount(open)) === 1, {
      timeoutMs: 5_000,
      what: "it to reach the provider",
    });
    const stoppedAt = performance.now();
    stage.gateway.signal("SIGTERM");
    expect(await stage.gateway.exited).toMatchObject({ code: 0 });
    expect(performance.now() - stoppedAt).toBeLessThan(10_000);
    expect(await text).toMatch(/"code":"upstream_error"/);
    await expect.poll(() => settledIds(open), { timeout: 15_000 }).toEqual(new Set(["too-long"]));
    const { rows } = await open.db.$client.query("SELECT usage_source, output_tokens FROM data.usage_log");
    expect(rows).toMatchObject([{ usage_source: "partial" }]);
  });

  it("4: a worker that is stopped under load exits 0, and the next one settles the rest exactly once", async () => {
    stage = await openStage();
    const open = stage;
    const ids = Array.from({ length: 300 }, (_, index) => `load-${index}`);
    const sent = ids.map((id) => post(`${open.gatewayUrl}/v1/charges`, open.user1.api_key, charge(id)));
    await waitFor(async () => (await settledIds(open)).size > 10, { timeoutMs: 10_000, what: "settling to begin" });
    open.worker.signal("SIGINT");
    open.worker.signal("SIGINT");
    expect(await open.worker.exited).toMatchObject({ code: 0 });
    expect((await Promise.all(sent)).every(({ status }) => status === 200)).toBe(true);
    const next = start(["worker"], open.env);
    await saidReady(next);
    await expect.poll(() => settledIds(open), { timeout: 15_000 }).toEqual(new Set(ids));
    next.signal("SIGTERM");
    expect(await next.exited).toMatchObject({ code: 0 });
    const { rows } = await open.db.$client.query("SELECT count(*) AS n FROM data.usage_log");
    expect(rows).toEqual([{ n: "300" }]);
    expect(open.worker.stderr()).toContain('"consumer"');
    const nameOf = (stderr: string) => /"consumer":"([^"]+)"/.exec(stderr)?.[1];
    expect(nameOf(next.stderr())).toBe(nameOf(open.worker.stderr()));
  });

  it("the simulated provider stops at once, whatever hangs", async () => {
    stage = await openStage();
    const hanging = post(`${stage.upstreamUrl}/v1/chat/completions`, "any", ask("[upstream: hang]"));
    const open = stage;
    await waitFor(async () => (await receivedCount(open)) === 1, { timeoutMs: 5_000, what: "the request to arrive" });
    stage.upstream.signal("SIGTERM");
    await expect(hanging).rejects.toThrow();
    expect(await stage.upstream.exited).toMatchObject({ code: 0 });
  });
});

describe("what is down", () => {
  it("a gateway and a worker that start before Redis wait for it, and say so", async () => {
    stage = await openStage();
    const open = stage;
    await open.redis.kill();
    const late = [start(["gateway", "--port", String(await freePort())], open.env), start(["worker"], open.env)];
    await Promise.all(late.map(saidAway));
    await open.redis.restart();
    await Promise.all(late.map(saidReady));
    for (const one of late) one.signal("SIGTERM");
    for (const one of late) expect(await one.exited).toMatchObject({ code: 0 });
  });

  it("a process that starts before Postgres waits for it, and one that Postgres refuses ends at once", async () => {
    const [dir, redis, port] = await Promise.all([
      mkdtemp(join(tmpdir(), "drawdown-test-late-")),
      testRedis(),
      freePort(),
    ]);
    const first = await startPostgres({ dir, port });
    await migrate(first.url);
    await first.stop();
    const env = { DATABASE_URL: first.url, REDIS_URL: redis.url };
    const worker = start(["worker"], env);
    await saidAway(worker);
    const postgres = await startPostgres({ dir, port });
    try {
      await saidReady(worker);
      worker.signal("SIGTERM");
      expect(await worker.exited).toMatchObject({ code: 0 });
      const missing = new URL(postgres.url);
      missing.pathname = "/missing";
      const refused = await run(["worker"], { ...env, DATABASE_URL: missing.href });
      expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("Check DATABASE_URL") });
    } finally {
      await Promise.all([postgres.stop(), redis.stop()]);
      await rm(dir, { recursive: true, force: true });
    }
  });

  it("6: Redis down is 503 with Retry-After and not ready, gives no service away, and is over when Redis is back", async () => {
    stage = await openStage();
    const open = stage;
    expect((await post(`${open.gatewayUrl}/v1/charges`, open.user1.api_key, charge("before"))).status).toBe(200);
    const received = await receivedCount(open);
    await open.redis.kill();
    await answers(`${open.gatewayUrl}/readyz`, 503);
    for (const path of ["charges", "chat/completions"]) {
      const body = path === "charges" ? charge("down") : ask("down");
      const refused = await post(`${open.gatewayUrl}/v1/${path}`, open.user1.api_key, body);
      expect([refused.status, await refused.json()]).toMatchObject([503, { error: { code: "billing_unavailable" } }]);
      expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
    }
    expect(await receivedCount(open)).toBe(received);
    expect((await fetch(`${open.gatewayUrl}/healthz`)).status).toBe(200);
    await open.redis.restart();
    await answers(`${open.gatewayUrl}/readyz`, 200);
    expect((await post(`${open.gatewayUrl}/v1/charges`, open.user1.api_key, charge("after"))).status).toBe(200);
    await expect.poll(() => settledIds(open), { timeout: 15_000 }).toEqual(new Set(["before", "after"]));
  });

  it("an answer that came while Redis was away is charged when it is back, and given then", async () => {
    stage = await openStage();
    const open = stage;
    await post(`${open.gatewayUrl}/v1/charges`, open.user1.api_key, charge("warm"));
    const sent = post(`${open.gatewayUrl}/v1/chat/completions`, open.user1.api_key, {
      ...ask("[upstream: slow=1000] away"),
      request_id: "away",
    });
    await waitFor(async () => (await receivedCount(open)) === 1, {
      timeoutMs: 5_000,
      what: "it to reach the provider",
    });
    await open.redis.restart();
    expect((await sent).status).toBe(200);
    await expect.poll(() => settledIds(open), { timeout: 15_000 }).toEqual(new Set(["warm", "away"]));
  });

  it("6: Postgres down leaves the gateway ready and charging for keys and accounts that it knows; others get 503", async () => {
    const dir = await mkdtemp(join(tmpdir(), "drawdown-test-outage-"));
    let postgres = await startPostgres({ dir });
    let next: Started | undefined;
    try {
      await migrate(postgres.url);
      stage = await openStage({ LOG_LEVEL: "debug" }, { url: postgres.url, drop: async () => undefined });
      const open = stage;
      const chargesUrl = `${open.gatewayUrl}/v1/charges`;
      expect((await post(chargesUrl, open.user1.api_key, charge("before"))).status).toBe(200);
      await postgres.stop();
      for (let n = 0; n < 20; n += 1) {
        expect((await post(chargesUrl, open.user1.api_key, charge(`during-${n}`))).status).toBe(200);
      }
      expect((await fetch(`${open.gatewayUrl}/readyz`)).status).toBe(200);
      const unknown = await post(chargesUrl, open.user2.api_key, charge("unknown"));
      expect([unknown.status, unknown.headers.get("retry-after")]).toEqual([503, "1"]);
      open.worker.signal("SIGTERM");
      const stopped = open.worker.exited.then(({ code }) => [code, performance.now() - stoppedAtMs < 10_000]);
      const stoppedAtMs = performance.now();
      expect(await stopped).toEqual([0, true]);
      postgres = await startPostgres({ dir, port: postgres.port });
      next = start(["worker"], open.env);
      await expect.poll(async () => (await settledIds(open)).size, { timeout: 30_000 }).toBe(21);
      await expect.poll(async () => (await post(chargesUrl, open.user2.api_key, charge("unknown"))).status).toBe(200);
      const password = new URL(postgres.url).password;
      const logs = open.gateway.stderr() + open.worker.stderr() + open.upstream.stderr();
      expect(logs).toContain("tried again");
      const secrets = [open.user1, open.user2].map((key) => key.api_key.slice(key.virtual_key.length + 1));
      for (const secret of [...secrets, password, providerKey]) expect(logs).not.toContain(secret);
      for (const line of logs.trim().split("\n")) expect(JSON.parse(line)).toHaveProperty("msg");
    } finally {
      next?.signal("SIGTERM");
      await next?.exited;
      await stage?.stop();
      stage = undefined;
      await postgres.stop();
      await rm(dir, { recursive: true, force: true });
    }
  }, 90_000);
});

describe("a start that cannot succeed", () => {
  it("names the taken port and the setting, and exits 1", async () => {
    stage = await openStage();
    const port = stage.env["GATEWAY_PORT"] ?? "";
    const gateway = await run(["gateway"], stage.env);
    expect(gateway).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(new RegExp(`Port ${port} is taken.*GATEWAY_PORT`)),
    });
    for (const command of ["worker", "upstream"]) {
      const other = await run([command, "--port", port], stage.env);
      expect(other).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(new RegExp(`Port ${port} is taken.*--port`)),
      });
    }
    expect((await balanceOf(stage, stage.user1)).balance).toBe("1000.000000000");
  });

  it("lists every wrong setting at once, and exits 1", async () => {
    const { code, stderr } = await run(["gateway"], {
      DATABASE_URL: "nonsense",
      REDIS_URL: "redis://127.0.0.1:1",
      NUM_SHARDS: "x",
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/DATABASE_URL[\s\S]*NUM_SHARDS/);
  });

  it("says that the database is not migrated, and exits 1", async () => {
    const dir = await mkdtemp(join(tmpdir(), "drawdown-test-empty-"));
    const postgres = await startPostgres({ dir });
    try {
      const env = { DATABASE_URL: postgres.url, REDIS_URL: "redis://127.0.0.1:9" };
      for (const command of ["seed", "gateway", "worker"]) {
        const { code, stderr } = await run([command], env);
        expect([command, code, stderr]).toEqual([command, 1, expect.stringContaining("drawdown migrate")]);
      }
    } finally {
      await postgres.stop();
      await rm(dir, { recursive: true, force: true });
    }
  });

  it("says which store cannot be reached, and exits 1", async () => {
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const address = silent.address();
    const port = typeof address === "object" ? address?.port : 0;
    await new Promise((resolve) => silent.close(resolve));
    const nowhere = {
      DATABASE_URL: `postgres://me:hushhush@127.0.0.1:${port}/x`,
      REDIS_URL: `redis://127.0.0.1:${port}`,
      START_PATIENCE_SECONDS: "0",
    };
    for (const command of [["migrate"], ["seed"], ["gateway"]]) {
      const { code, stderr } = await run(command, nowhere);
      expect([command, code]).toEqual([command, 1]);
      expect(stderr).not.toContain("hushhush");
      expect(stderr).toMatch(/reach/);
    }
  }, 60_000);
});
