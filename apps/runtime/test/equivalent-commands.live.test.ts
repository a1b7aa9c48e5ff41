import {
  type AccountRef,
  type Act,
  type CommandAct,
  commandFor,
  commandOfRecord,
  createKey,
  discardLetters,
  freezeAccount,
  giveCredit,
  NANOS_PER_UNIT,
  readOperationRecord,
  readStats,
  refund,
  restoreLetters,
  runOperation,
  setCreditLimit,
  setPrice,
  setProvider,
  startCleanup,
  startReplay,
  streamKey,
  unfreezeAccount,
  updateKey,
} from "@drawdown/billing";
import { waitFor } from "@drawdown/local-stack";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { reason, shell } from "./copied-commands.ts";
import { type OperatorStage, openOperatorStage } from "./operator-stage.ts";

type Side = { account: AccountRef; name: string; deduction: string; letter: string; entry: string };

describe("an equivalent command and its function", () => {
  let stage: OperatorStage;
  beforeAll(async () => {
    stage = await openOperatorStage();
  });
  afterAll(() => stage.stop());

  async function drain(): Promise<void> {
    const worker = stage.worker();
    await waitFor(
      async () => {
        const { shards } = await readStats(stage.billing);
        return shards.every((one) => one.pending === 0 && (one.length === 0 || one.lastDeliveredId === one.lastId));
      },
      { timeoutMs: 30_000, what: "the streams drained" },
    );
    worker.signal("SIGTERM");
    await worker.exited;
  }

  async function prepare(): Promise<[Side, Side]> {
    const side = async (name: string) => {
      const account = await stage.account();
      const [deduction = ""] = await stage.charge(account, 1);
      await stage.add(account, { deduction_id: `ded_${name}`, account_id: account.id, cost: "not a number" });
      return { account, name, deduction };
    };
    const sides = [await side("one"), await side("two")];
    await drain();
    const whole: Side[] = [];
    for (const { account, name, deduction } of sides) {
      await stage.charge(account, 1);
      const [entryId = ""] = await stage.ackUnwritten(account);
      const letters = "SELECT id, stream_key FROM data.dead_letter WHERE deduction_id = $1";
      const [letter] = await stage.rows<{ id: string; stream_key: string }>(letters, [`ded_${name}`]);
      const entry = `${letter?.stream_key}/${entryId}`;
      whole.push({ account, name, deduction, letter: letter?.id ?? "", entry });
    }
    return whole as [Side, Side];
  }

  /** The act's row, with what must differ between the two sides taken out. */
  async function lastRow({ account, name, deduction, letter, entry }: Side): Promise<unknown> {
    const sql = `SELECT role, action, reason, targets, counts, before, after, result, finished_at IS NOT NULL AS finished
                   FROM data.operator_action ORDER BY started_at DESC LIMIT 1`;
    const [row] = await stage.rows(sql);
    const places = entry.split("/");
    const names = [account.id, account.ownerId, deduction, entry, ...places];
    let text = JSON.stringify(row);
    names.forEach((one, i) => (text = text.replaceAll(one, `<${i}>`)));
    return JSON.parse(
      text
        .replace(/vk_[0-9a-f]{24}/g, "<key>")
        .replaceAll(`"${letter}"`, '"<letter>"')
        .replaceAll(`"${name}`, '"<name>')
        .replace(/"(audit_id|price_id|id|credits_version)":"\d+"/g, '"$1":"<n>"')
        .replace(/"consumersRemoved":\[[^\]]*\]/g, '"consumersRemoved":[]') // a consumer may die between the two
        .replace(/"createdBy":"[^"]*"/g, '"createdBy":"<actor>"')
        .replace(/"\d{4}-\d\d-\d\dT[^"]*"/g, '"<time>"'),
    );
  }

  test("Rule 8: the function and the copied command leave rows that are equal but for id, actor and times", {
    timeout: 180_000,
  }, async () => {
    const { billing, env } = stage;
    const [one, two] = await prepare();
    const act: Act = { actor: "console", role: "admin", reason };
    const keys = { one: "", two: "" };
    // The names of the sides' own streams are taken out of the rows: the cleanup's must stay.
    const shards = [2, 3, 4, 5]
      .filter((shard) => ![one, two].some(({ entry }) => entry.startsWith(`${streamKey(shard)}/`)))
      .slice(0, 2);
    type Pair = { by: (side: Side) => Promise<unknown>; as: (side: Side) => CommandAct };
    const limit = { period: "day" as const, limitNanos: NANOS_PER_UNIT };
    const validFrom = new Date("2026-01-01T00:00:00Z");
    const price = (side: Side) => ({
      provider: side.name,
      model: "m",
      priceModel: "per_token" as const,
      tokenPrice: "0.000001",
      validFrom,
    });
    const provider = (side: Side) => ({ name: side.name, baseUrl: "https://x.test/v1", shape: "openai" as const });
    const untilOver = async (operationId: string | null) =>
      await runOperation(billing, operationId ?? "", new AbortController().signal);
    const named = (side: Side) => ({ kind: "named" as const, ids: [side.entry] });
    const pairs: Pair[] = [
      {
        by: (side) => freezeAccount(billing, side.account.id, act),
        as: (side) => ({ act: "freeze", accountId: side.account.id }),
      },
      {
        by: (side) => unfreezeAccount(billing, side.account.id, act),
        as: (side) => ({ act: "unfreeze", accountId: side.account.id }),
      },
      {
        by: (side) => setCreditLimit(billing, side.account.id, NANOS_PER_UNIT, act),
        as: (side) => ({ act: "credit_limit", accountId: side.account.id, limit: "1" }),
      },
      {
        by: (side) =>
          giveCredit(
            billing,
            { accountId: side.account.id, amountNanos: -NANOS_PER_UNIT, category: "adjustment" },
            act,
          ),
        as: (side) => ({ act: "credit", accountId: side.account.id, amount: "-1", category: "adjustment" }),
      },
      {
        by: (side) => refund(billing, side.deduction, act, 1n),
        as: (side) => ({ act: "refund", deductionId: side.deduction, amount: "0.000000001" }),
      },
      {
        by: (side) => createKey(billing, { accountId: side.account.id, name: "a key", spendLimit: limit }, act),
        as: (side) => ({
          act: "create_key",
          accountId: side.account.id,
          name: "a key",
          spendLimit: { limit: "1", period: "day" },
        }),
      },
      {
        by: () => updateKey(billing, keys.one, { name: null, allowedModels: ["m*"] }, act),
        as: () => ({ act: "update_key", virtualKey: keys.two, name: null, allowedModels: ["m*"] }),
      },
      { by: (side) => setPrice(billing, price(side), act), as: (side) => ({ act: "set_price", price: price(side) }) },
      {
        by: (side) => setProvider(billing, provider(side), act),
        as: (side) => ({ act: "set_provider", provider: provider(side) }),
      },
      {
        by: (side) => discardLetters(billing, [side.letter], act),
        as: (side) => ({ act: "discard", ids: [side.letter] }),
      },
      {
        by: (side) => restoreLetters(billing, [side.letter], act),
        as: (side) => ({ act: "restore", ids: [side.letter] }),
      },
      {
        by: async (side) => untilOver((await startReplay(billing, named(side), act)).operationId),
        as: (side) => ({ act: "replay", selection: named(side) }),
      },
      {
        by: async () =>
          untilOver(await startCleanup(billing, { maxAgeMs: 0, cutOffMs: 1, maxPerShard: 1_000, shards }, act)),
        as: () => ({ act: "cleanup", cutOff: new Date(1), maxPerShard: 1_000, shards }),
      },
    ];
    const keysMade = async () => {
      const made = await stage.rows<{ key: string }>(
        "SELECT virtual_key AS key FROM data.virtual_key ORDER BY created_at",
      );
      return made.map(({ key }) => key);
    };
    for (const { by, as } of pairs) {
      await by(one);
      keys.one = (await keysMade())[0] ?? "";
      const expected = await lastRow(one);
      const command = commandFor(as(two), { reason });
      await shell(command, env);
      keys.two = (await keysMade())[1] ?? "";
      expect(await lastRow(two), command).toEqual(expected);
      expect(expected).toMatchObject({ finished: true, reason });
    }
    expect(await stage.rows("SELECT 1 FROM data.operator_action")).toHaveLength(2 * pairs.length);
  });

  test("Rule 8: the record of a credit, a refund and a limit gives the command that does the same again", {
    timeout: 60_000,
  }, async () => {
    const { billing, env } = stage;
    const account = await stage.account();
    const [deduction = ""] = await stage.charge(account, 1);
    await drain();
    const act: Act = { actor: "console", role: "admin", reason };
    const credit = { accountId: account.id, amountNanos: -1n, category: "adjustment" as const };
    await giveCredit(billing, credit, act);
    await refund(billing, deduction, act, 1n);
    const last = "SELECT id, action, reason, targets, counts, result, finished_at FROM data.operator_action";
    const rows = await stage.rows<{ id: string }>(`${last} ORDER BY started_at DESC LIMIT 2`);
    for (const { id: operation, finished_at: _, ...first } of rows.toReversed() as {
      id: string;
      finished_at: Date;
    }[]) {
      const record = await readOperationRecord(billing, operation);
      const command = record && commandOfRecord(record);
      if (!command) return expect.fail(`${JSON.stringify(first)} gives no command`);
      await shell(commandFor(command, { reason }), env);
      const [second] = await stage.rows<{ id: string }>(`${last} ORDER BY started_at DESC LIMIT 1`);
      expect(second?.id).not.toBe(operation);
      const plain = (row: object | undefined) => JSON.stringify(row).replace(/"audit_id":"\d+"/, "");
      expect(plain(second)).toContain(plain(first).slice(1, -1));
    }
    // The same limit again changes nothing, which leaves no row.
    const limited = await setCreditLimit(billing, account.id, NANOS_PER_UNIT, act);
    const record = await readOperationRecord(billing, "operationId" in limited ? (limited.operationId ?? "") : "");
    expect(record && commandOfRecord(record)).toEqual({
      act: "credit_limit",
      accountId: account.id,
      limit: "1.000000000",
    });
  });
});
