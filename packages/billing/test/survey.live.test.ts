import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AccountRef, charge, formatUnits, reconcile, verifyChain } from "../src/index.ts";
import { type Reach, surveyLinks, surveyUsage } from "../src/survey.ts";
import { settledAccountOf, UNIT } from "./repair-stage.ts";
import { aCharge, openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

const reachOf = ({ id }: AccountRef, seq: bigint): Reach => ({ accountId: id, seq, balanceNanos: null });

describe("speed", () => {
  /** Accounts with an opening credit and settled deductions of 0.001, as many links together as asked for. */
  async function fill(accounts: number, links: number): Promise<void> {
    const ids = Array.from({ length: accounts }, () => [randomUUID(), randomUUID()]);
    const [accountIds, owners] = [ids.map(([id]) => id), ids.map(([, owner]) => owner)];
    await stage.query("INSERT INTO data.user_profile (id) SELECT unnest($1::uuid[])", [owners]);
    await stage.query(
      "INSERT INTO data.account_balance (id, owner_userid, balance) SELECT *, 1000 FROM unnest($1::uuid[], $2::uuid[])",
      [accountIds, owners],
    );
    await stage.query(
      `UPDATE data.account_balance_audit SET account_seq = 1, balance_before = 0, balance_after = 1000, applied_at = now(),
          stream_key = 'stream:deductions:0', stream_entry_id = '0-' || id WHERE credits_version = 1 AND account_id = ANY($1)`,
      [accountIds],
    );
    const perAccount = links / accounts;
    // Entry by entry over all accounts, as they are settled: an account's rows lie far apart.
    await stage.query(
      `INSERT INTO data.usage_log (deduction_id, virtual_key, account_id, account_type, provider, model, cost, balance_before, balance_after,
           account_seq, settled_at, balance_check)
       SELECT 'ded_' || n || '_' || id, 'vk_test', id, 'user', 'openai', 'gpt-4o', 0.001, 1000 - (n - 2) * 0.001, 1000 - (n - 1) * 0.001, n, now(), 'ok'
         FROM generate_series(2, $2::int) n, unnest($1::uuid[]) AS a(id)`,
      [accountIds, perAccount],
    );
    await stage.query(
      `INSERT INTO data.account_balance_audit (deduction_id, account_id, account_type, amount, source, audit_category, usage_log_id,
           balance_before, balance_after, account_seq)
       SELECT deduction_id, account_id, 'user', -cost, 'api_gateway', 'usage', id, balance_before, balance_after, account_seq FROM data.usage_log
        WHERE account_id = ANY($1::uuid[]) ORDER BY id`,
      [accountIds],
    );
    const spent = formatUnits((BigInt(perAccount) - 1n) * 1_000_000n);
    await stage.query(
      "UPDATE data.account_balance SET balance = balance - $2::numeric, total_debits = total_debits + $2::numeric WHERE id = ANY($1::uuid[])",
      [accountIds, spent],
    );
    await stage.query("ANALYZE data.account_balance_audit, data.usage_log, data.account_balance");
  }

  const windowQuery = `SELECT count(*) FROM (
      SELECT account_seq <> lag(account_seq, 1, 0::bigint) OVER chain + 1 OR balance_before <> lag(balance_after, 1, 0.0) OVER chain
             OR balance_after <> balance_before + amount AS broken
        FROM data.account_balance_audit WHERE account_seq IS NOT NULL WINDOW chain AS (PARTITION BY account_id ORDER BY account_seq)) t
     WHERE broken`;

  /** The fastest of ten rounds of each, in turns and of the same length: whatever else the machine does slows both. */
  async function fastestMs(...works: (() => Promise<unknown>)[]): Promise<number[]> {
    const fastest = works.map(() => Number.POSITIVE_INFINITY);
    for (let round = 0; round < 10; round++)
      for (const [i, work] of works.entries()) {
        const startedAt = performance.now();
        await work();
        fastest[i] = Math.min(fastest[i] ?? 0, performance.now() - startedAt);
      }
    return fastest;
  }

  test("Section 2: verifying all chains takes at most 5 times one window query over their links", async () => {
    await fill(200, 200_000);
    const verify = async () => {
      const found = await verifyChain(stage.billing);
      expect(found.ok, JSON.stringify(found.reports[0])).toBe(true);
      expect(found.links).toBeGreaterThanOrEqual(200_000);
    };
    const fiveQueries = async () => {
      for (let i = 0; i < 5; i++) await stage.query(windowQuery);
    };
    const [fiveMs = 0, verifyMs = 0] = await fastestMs(fiveQueries, verify);
    console.log(
      `${verifyMs.toFixed(0)} ms for 200,000 links, ${((5 * verifyMs) / fiveMs).toFixed(2)} times one window query`,
    );
    expect(verifyMs).toBeLessThanOrEqual(fiveMs);
  }, 120_000);
});

describe("a chain that is too long for one statement", () => {
  test("Section 2: is taken in slices, and the slices find what one statement finds, at their borders too", async () => {
    const account = await settledAccountOf(stage, 11); // links 1 to 12
    const remove = (...seqs: number[]) =>
      stage.query("DELETE FROM data.account_balance_audit WHERE account_id = $1 AND account_seq = ANY($2)", [
        account.id,
        seqs,
      ]);
    const reaches = [reachOf(account, 12n)];
    for (const [step, gap] of [[], [4], [5, 6, 7]].entries()) {
      if (gap.length > 0) await remove(...gap);
      const whole = (await surveyLinks(stage.billing.query, reaches, [])).get(account.id);
      const usageBy = async (links?: bigint) => {
        const found = (await surveyUsage(stage.billing.query, reaches, links)).get(account.id);
        return { ...found, usageIds: found?.usageIds.toSorted() };
      };
      const usage = await usageBy();
      expect(usage.totalNanos).toBe(11n * UNIT);
      expect(usage.usageIds).toHaveLength([0, 1, 4][step] ?? -1);
      for (const links of [1n, 2n, 3n, 5n, 100n]) {
        expect(await usageBy(links), `usage by ${links}`).toEqual(usage);
        const sliced = (await surveyLinks(stage.billing.query, reaches, [], links)).get(account.id);
        // What stands first in its slice without the link before it is looked at, and found sound.
        expect(sliced?.suspects, `by ${links}`).toEqual(expect.arrayContaining(whole?.suspects ?? []));
        expect({ ...sliced, suspects: [] }, `by ${links}`).toEqual({ ...whole, suspects: [] });
      }
    }
  });
});

describe("Redis restarts in the middle", () => {
  test("Section 2: a run over the restart finds nothing that is not so, or says that Redis is away", async () => {
    const other = await openStage();
    try {
      const account = await other.account("1000");
      const ended = new AbortController();
      let answered = 0;
      const looking = (async () => {
        while (!ended.signal.aborted) {
          const found = await reconcile(other.billing).catch((error: { retryable?: boolean }) => {
            if (error.retryable !== true) throw error;
            return undefined;
          });
          if (found === undefined) continue;
          expect(found.findings).toEqual([]);
          answered += 1;
        }
      })();
      looking.catch(() => {});
      for (let restart = 0; restart < 3; restart++) {
        for (let i = 0; i < 10; i++)
          await charge(other.billing, aCharge(account, UNIT)).catch((error: { retryable?: boolean }) => {
            if (error.retryable !== true) throw error;
          });
        await other.redis.restart();
      }
      const before = answered;
      await expect.poll(() => answered, { timeout: 20_000 }).toBeGreaterThan(before + 2);
      ended.abort();
      await looking;
    } finally {
      await other.close();
    }
  });
});
