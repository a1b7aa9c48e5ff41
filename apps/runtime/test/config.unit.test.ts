import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readConfig } from "../src/config.ts";
import { Problem } from "../src/problem.ts";

const folder = mkdtempSync(join(tmpdir(), "drawdown-config-"));
afterAll(() => rmSync(folder, { recursive: true }));
const noStack = join(folder, "absent.json");
const stackPath = join(folder, "stack.json");
const stack = { databaseUrl: "postgres://stack:pw@127.0.0.1:1/a", redisUrl: "redis://127.0.0.1:2", gatewayPort: 4000 };
writeFileSync(stackPath, JSON.stringify(stack));

const both = { DATABASE_URL: "postgres://me:pa%24s@db:5432/books", REDIS_URL: "redis://:hush@cache:6379" };
const needs = ["database", "redis"] as const;
const problemsOf = (environment: Record<string, string>, path = noStack): string => {
  try {
    readConfig(needs, environment, path);
  } catch (error) {
    expect(error).toBeInstanceOf(Problem);
    return (error as Problem).message;
  }
  throw new Error("the settings were accepted");
};

describe("the settings", () => {
  it("have the contract's defaults", () => {
    expect(readConfig(needs, both, noStack)).toMatchObject({
      gatewayPort: 4000,
      consolePort: 3000,
      consoleProxies: 0,
      numShards: 16,
      listenHost: "127.0.0.1",
      requestTtlMs: 3_600_000,
      alerts: {
        backlog: 50_000,
        shardImbalance: 10,
        oldestUnsettledMs: 300_000,
        deadLetters: 0,
        memoryShare: 0.6,
        levels: ["warning", "critical"],
      },
      cleanup: {
        intervalMs: 3_600_000,
        firstDelayMs: 1_800_000,
        maxAgeMs: 86_400_000,
        pressureMaxAgeMs: 300_000,
        batchSize: 1_000,
      },
      monitorIntervalMs: 300_000,
      proveIntervalMs: 60_000,
      consumer: {},
    });
  });

  it("are all checked before anything starts: one message lists every problem", () => {
    const message = problemsOf({
      DATABASE_URL: "mysql://db",
      GATEWAY_PORT: "70000",
      NUM_SHARDS: "sixteen",
      LOG_LEVEL: "loud",
      ALERT_LEVELS: "warning,terrible",
      ALERT_WEBHOOK_URL: "not a url",
      DRAWDOWN_ADMIN_EMAIL: "someone",
      CONSUMER_BATCH_SIZE: "0",
    });
    for (const name of [
      "DATABASE_URL",
      "REDIS_URL",
      "GATEWAY_PORT",
      "NUM_SHARDS",
      "LOG_LEVEL",
      "ALERT_LEVELS",
      "ALERT_WEBHOOK_URL",
      "DRAWDOWN_ADMIN_EMAIL",
      "DRAWDOWN_ADMIN_PASSWORD",
      "CONSUMER_BATCH_SIZE",
    ]) {
      expect(message).toContain(name);
    }
  });

  it("do not repeat a secret in the message about it", () => {
    expect(problemsOf({ ...both, DATABASE_URL: "postgress://me:topsecret@db/x" })).not.toContain("topsecret");
  });

  it("take an empty value as not set", () => {
    expect(readConfig(needs, { ...both, GATEWAY_PORT: "", ALERT_WEBHOOK_URL: "" }, noStack).gatewayPort).toBe(4000);
  });

  it("are frozen", () => {
    const config = readConfig(needs, both, noStack);
    expect(() => Object.assign(config, { numShards: 1 })).toThrow();
    expect(() => Object.assign(config.alerts, { backlog: 1 })).toThrow();
  });

  it("know the secrets that no log may hold, as written and decoded", () => {
    const webhook = { ALERT_WEBHOOK_SECRET: "wh", ALERT_WEBHOOK_URL: "https://chat.example/hooks/T0/B1" };
    const config = readConfig(needs, { ...both, OPENAI_API_KEY: "sk-abc", ...webhook }, noStack);
    expect(config.secrets).toEqual(
      expect.arrayContaining(["pa%24s", "pa$s", "hush", "sk-abc", "wh", webhook.ALERT_WEBHOOK_URL]),
    );
  });

  it("name one Redis: a server or a cluster", () => {
    expect(problemsOf({ ...both, REDIS_CLUSTER_NODES: "a:1,b:2" })).toContain("exclude each other");
    const { DATABASE_URL } = both;
    expect(readConfig(needs, { DATABASE_URL, REDIS_CLUSTER_NODES: "a:1, b:2" }, noStack).redis).toEqual({
      clusterNodes: ["a:1", "b:2"],
    });
    expect(problemsOf({ DATABASE_URL, REDIS_CLUSTER_NODES: "a:1,b" })).toContain("REDIS_CLUSTER_NODES");
  });
});

describe("the stack that runs in this checkout", () => {
  it("stands in for unset addresses", () => {
    const config = readConfig(needs, {}, stackPath);
    expect([config.databaseUrl, config.redis]).toEqual([stack.databaseUrl, { redisUrl: stack.redisUrl }]);
    expect(config.secrets).toContain("pw");
  });

  it("stands in for one only beside its own other half: another database is never paired with its Redis", () => {
    expect(readConfig(needs, { DATABASE_URL: stack.databaseUrl }, stackPath).redis).toEqual({
      redisUrl: stack.redisUrl,
    });
    expect(problemsOf({ DATABASE_URL: "postgres://other/db" }, stackPath)).toContain("REDIS_URL is not set");
    expect(problemsOf({ REDIS_URL: "redis://other" }, stackPath)).toContain("DATABASE_URL is not set");
  });

  it("is no stack when its file cannot be read", () => {
    const broken = join(folder, "broken.json");
    writeFileSync(broken, '{"databaseUrl":');
    expect(problemsOf({}, broken)).toContain("npm start");
  });
});
