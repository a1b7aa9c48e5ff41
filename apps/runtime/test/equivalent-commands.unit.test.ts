import { type CommandAct, commandFor } from "@drawdown/billing";
import { describe, expect, test } from "vitest";
import { commands } from "../src/cli.ts";
import { reason, shell } from "./copied-commands.ts";

/** What commander makes of a line, with no command run. */
async function parse(line: string): Promise<{ name: string; args: string[]; options: Record<string, unknown> }> {
  const said = await shell(`drawdown() { for word in "$@"; do printf '%s\\0' "$word"; done; }\n${line}`, {});
  let called: { name: string; args: string[]; options: Record<string, unknown> } | undefined;
  const program = commands(() => {});
  const catchAll = (command: typeof program) => {
    for (const below of command.commands) catchAll(below);
    if (command.commands.length > 0) return;
    command.action(() => {
      const name = [command.parent === program ? "" : command.parent?.name(), command.name()].join(" ").trim();
      called = { name, args: command.args, options: command.opts() };
    });
  };
  catchAll(program);
  await program.parseAsync(said.split("\0").slice(0, -1), { from: "user" });
  return called ?? expect.fail(`nothing was called by ${line}`);
}

const moment = new Date("2027-01-31T12:00:00.123Z");
const id = "11111111-2222-4333-8444-555555555555";
const lines: [CommandAct, object][] = [
  [
    { act: "replay", selection: { kind: "named", ids: ["7", "stream:deductions:3/1-0"] } },
    { name: "replay", options: { id: ["7", "stream:deductions:3/1-0"], yes: true } },
  ],
  [{ act: "replay", selection: { kind: "failed", operationId: id } }, { options: { failedOf: id } }],
  [
    { act: "replay", selection: { kind: "pending", shards: [1, 2], olderThanMs: 1_500, consumer: "-x", limit: 5 } },
    { options: { pending: true, shard: [1, 2], olderThan: 1.5, consumer: "-x", limit: 5 } },
  ],
  [
    { act: "replay", selection: { kind: "dead_letters", errorClass: "a b", accountId: id, from: moment, to: moment } },
    { options: { deadLetters: true, errorClass: "a b", account: id, from: moment, to: moment } },
  ],
  [
    { act: "replay", selection: { kind: "unaccounted", ids: ["1-0"] } },
    { options: { unaccounted: true, id: ["1-0"] } },
  ],
  [
    { act: "discard", ids: ["1", "2"] },
    { name: "discard", options: { id: ["1", "2"] } },
  ],
  [{ act: "restore", ids: ["1"] }, { name: "restore" }],
  [
    { act: "cleanup", shards: [3, 4], maxPerShard: 10, cutOff: moment },
    { name: "cleanup", options: { shard: [3, 4], maxPerShard: 10, before: moment } },
  ],
  [
    { act: "credit", accountId: id, amount: "-0.5", category: "adjustment" },
    { name: "credit", args: [id, "-0.5"], options: { category: "adjustment" } },
  ],
  [
    { act: "refund", deductionId: "-d", amount: "0.1" },
    { name: "refund", args: ["-d"], options: { amount: "0.1" } },
  ],
  [
    { act: "freeze", accountId: id },
    { name: "freeze", args: [id] },
  ],
  [
    { act: "unfreeze", accountId: id },
    { name: "unfreeze", args: [id] },
  ],
  [
    { act: "credit_limit", accountId: id, limit: "12.5" },
    { name: "credit-limit", args: [id, "12.5"] },
  ],
  [
    {
      act: "create_key",
      accountId: id,
      name: "-n",
      expiresAt: moment,
      allowedModels: ["a*", "b"],
      spendLimit: { limit: "1", period: "day" },
      requestsPerMinute: 3,
      holdPolicy: "available",
      leavePolicy: "cut",
    },
    {
      name: "keys create",
      options: {
        account: id,
        name: "-n",
        expires: moment,
        models: ["a*", "b"],
        spendLimit: "1",
        spendPeriod: "day",
        rpm: 3,
        holdPolicy: "available",
        leavePolicy: "cut",
      },
    },
  ],
  [
    { act: "update_key", virtualKey: "vk", name: null, requestsPerMinute: 4, spendLimit: null },
    { name: "keys update", args: ["vk"], options: { rpm: 4, clear: ["name", "spend-limit"] } },
  ],
  [
    { act: "create_operator", email: "a@b.invalid", role: "support", name: "A B" },
    { name: "operators create", args: ["a@b.invalid"], options: { role: "support", name: "A B" } },
  ],
  [
    { act: "reset_operator_password", email: "a@b.invalid" },
    { name: "operators reset-password", args: ["a@b.invalid"] },
  ],
  [
    { act: "revoke_key", virtualKey: "vk" },
    { name: "keys revoke", args: ["vk"] },
  ],
  [
    {
      act: "set_price",
      price: {
        provider: "-p",
        model: "m",
        priceModel: "per_input_output",
        inputPrice: "1",
        outputPrice: "2",
        cachedInputPrice: "3",
        cacheWritePrice: "4",
        cacheWrite1hPrice: "5",
        tiers: [{ above_input_tokens: 1, input_price: "1" }],
        match: { equals: "it's" },
        detailPrices: { input_audio_price: "1" },
        validFrom: moment,
        window: { start: "08:00", end: "09:00" },
      },
    },
    {
      name: "prices set",
      args: ["-p", "m"],
      options: {
        priceModel: "per_input_output",
        input: "1",
        output: "2",
        cachedInput: "3",
        cacheWrite: "4",
        cacheWrite1h: "5",
        tiers: [{ above_input_tokens: 1, input_price: "1" }],
        match: { equals: "it's" },
        details: { input_audio_price: "1" },
        from: moment,
        window: { start: "08:00", end: "09:00" },
      },
    },
  ],
  [
    { act: "remove_price", id: "5" },
    { name: "prices remove", args: ["5"] },
  ],
  [
    { act: "set_provider", provider: { name: "p", baseUrl: "http://x", shape: "openai", apiKeyEnv: "K" } },
    { name: "providers set", args: ["p"], options: { baseUrl: "http://x", shape: "openai", apiKeyEnv: "K" } },
  ],
  [
    { act: "remove_provider", name: "p" },
    { name: "providers remove", args: ["p"] },
  ],
  [
    { act: "accept", accountId: id, fromSeq: "3", toSeq: "5" },
    { name: "accept", options: { account: id, seqs: "3-5" } },
  ],
  [
    { act: "repair", accountId: id, writeOff: ["1", "2"] },
    { name: "repair", options: { account: id, writeOff: ["1", "2"], yes: true } },
  ],
  [
    { act: "pause", operationId: id },
    { name: "operations pause", args: [id] },
  ],
  [
    { act: "resume", operationId: id },
    { name: "operations resume", args: [id] },
  ],
  [
    { act: "abort", operationId: id },
    { name: "operations abort", args: [id] },
  ],
];

describe("every equivalent command", () => {
  test.each(lines)("is read by the program as the act it stands for: %j", async (act, expected) => {
    const called = await parse(commandFor(act, { reason, actor: "-somebody" }));
    expect(called).toMatchObject({ ...expected, options: { reason, actor: "-somebody" } });
    expect(called).toMatchObject(expected);
  });
});
