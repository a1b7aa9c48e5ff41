import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { charge, loadAccount, peekBalance } from "../src/index.ts";
import { arrayParameter } from "../src/postgres.ts";
import { loadScript, replyArray, runScript } from "../src/redis.ts";
import { aCharge, chainProblems, openStage, type Stage } from "./stage.ts";

describe("exact amounts through Lua", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await openStage();
  });
  afterAll(() => stage.close());

  const limit = 9_223_372_036_854_775_807n;
  const amount = fc.oneof(
    fc.bigInt({ min: -limit, max: limit }),
    fc.bigInt({ min: -10n, max: 10n }).map((n) => n + 2n ** 53n),
    fc.bigInt({ min: -10n, max: 10n }).map((n) => n - 2n ** 53n),
    fc.bigInt({ min: -3n, max: 3n }).map((n) => n * 1_000_000_000n),
    fc.bigInt({ min: -3n, max: 3n }).map((n) => n * 1_000_000_000_000_000_000n - 1n),
    fc.bigInt({ min: -2_000_000_000n, max: 2_000_000_000n }),
  );

  test("Section 3: every text, and none, comes out of an array parameter as it went in", async () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom(
        "",
        "null",
        "NULL",
        "{}",
        '\\"',
        "\\n",
        "\n",
        "\t\\",
        "\u007f",
        "\u2028",
        '{"a":"b"}',
        "é",
        "ded_1",
      ),
    );
    const held = text.filter((one) => !one.includes("\0") && one.isWellFormed());
    await fc.assert(
      fc.asyncProperty(fc.array(fc.option(held), { maxLength: 20 }), async (texts) => {
        const rows = await stage.query<{ t: string | null }>(
          "SELECT t FROM unnest($1::text[]) WITH ORDINALITY AS x(t, n) ORDER BY n",
          [arrayParameter(texts)],
        );
        expect(rows.map(({ t }) => t)).toEqual(texts);
      }),
      { numRuns: 100 },
    );
  });

  test("Section 3: sums, differences, comparisons and unit text of any two amounts equal BigInt's", async () => {
    const { source } = loadScript("./charge.lua");
    const prelude = source.slice(0, source.indexOf("-- Draws charges"));
    const probe = {
      source: `${prelude}\nlocal out = {}\nfor i = 1, #ARGV, 2 do local a, b = ARGV[i], ARGV[i + 1]
        out[#out + 1] = { add(a, b), sub(a, b), less(a, b) and '1' or '0', units(a), neg(b) } end\nreturn out`,
      sha: "0".repeat(40),
    };
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(amount, amount), { minLength: 1, maxLength: 200 }), async (tuples) => {
        const replies = replyArray(await runScript(stage.billing.redis, probe, [], tuples.flat().map(String)));
        const expected = tuples.map(([a, b]) => [a + b, a - b, a < b ? 1 : 0, unitText(a), -b].map(String));
        expect(replies).toEqual(expected);
      }),
      { numRuns: 100 },
    );
  });

  test.each([
    ["9007199.254740991", 1n],
    ["9007199.254740992", 1n],
    ["9007199.254740993", 1n],
    ["999999999.999999999", 1n],
    ["999999999.999999999", 999_999_999_999_999_999n],
    ["8999999999.999999999", 7n],
  ])("Section 3: a charge on %s units is exact to the nano from Redis to the books", async (balance, costNanos) => {
    const account = await stage.account(balance);
    const outcome = await charge(stage.billing, aCharge(account, costNanos));
    const before = BigInt(balance.replace(".", ""));
    expect(outcome).toMatchObject({
      outcome: "charged",
      balanceBeforeNanos: before,
      balanceAfterNanos: before - costNanos,
    });
    const worker = stage.worker();
    await stage.atRest();
    await worker.stop();
    const [row] = await stage.query("SELECT balance_before, balance_after FROM data.usage_log WHERE account_id = $1", [
      account.id,
    ]);
    expect(row).toEqual({ balance_before: unitText(before), balance_after: unitText(before - costNanos) });
    expect(await chainProblems(stage, account)).toEqual([]);
  });

  test("Section 3: Redis' clock reads as ISO 8601 on leap days and year's ends", async () => {
    const { source } = loadScript("./charge.lua");
    const clock = source
      .slice(0, source.indexOf("-- Draws charges"))
      .replace("redis.call('TIME')", "{ ARGV[1], '123456' }");
    const days = [
      "2024-02-29",
      "2024-12-31",
      "2025-03-01",
      "2026-01-01",
      "2000-02-29",
      "2099-12-31",
      "2100-02-28",
      "2100-03-01",
    ];
    for (const day of days) {
      const seconds = new Date(`${day}T23:59:58Z`).getTime() / 1_000;
      const reply = await runScript(
        stage.billing.redis,
        { source: `${clock}\nreturn { clock() }`, sha: "1".repeat(40) },
        [],
        [String(seconds)],
      );
      expect(reply).toEqual([`${seconds}123`, `${day}T23:59:58.123Z`]);
    }
  });

  test("Section 3: zero costs are charged and recorded", async () => {
    const account = await stage.account("1");
    await loadAccount(stage.billing, account);
    expect(await charge(stage.billing, aCharge(account, 0n))).toMatchObject({ outcome: "charged", costNanos: 0n });
    expect((await peekBalance(stage.billing, account))?.seq).toBe(2n);
  });
});

function unitText(nanos: bigint): string {
  const digits = (nanos < 0n ? -nanos : nanos).toString().padStart(10, "0");
  return `${nanos < 0n ? "-" : ""}${digits.slice(0, -9)}.${digits.slice(-9)}`;
}
