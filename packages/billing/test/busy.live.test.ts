import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type AccountRef,
  type Billing,
  chargeMany,
  proveAll,
  type Reconciliation,
  readBalance,
  reconcile,
  shardOf,
  streamKey,
  verifyChain,
} from "../src/index.ts";
import { aCharge, openStage, type Running, type Stage } from "./stage.ts";

const HANDLES = 3;

let stage: Stage;
let handles: Billing[];
beforeAll(async () => {
  stage = await openStage();
  handles = await Promise.all(Array.from({ length: HANDLES }, () => stage.another()));
});
afterAll(() => stage.close());

/**
 * Charges from every handle, and top-ups, until it is stopped. It keeps a little ahead of what is asked for with `allow`: charging as
 * fast as it can would measure how fast this machine settles.
 */
function traffic(accounts: readonly AccountRef[], options: { batch: number; deletions: boolean }) {
  const any = () => accounts[Math.floor(Math.random() * accounts.length)] as AccountRef;
  const counts = { charged: 0, credited: 0, deleted: 0 };
  const stopped = new AbortController();
  let allowed = 0;
  const wake: (() => void)[] = [];
  const open = () => {
    for (const go of wake.splice(0)) go();
  };
  const permission = async () => {
    while (!stopped.signal.aborted && counts.charged >= allowed)
      await new Promise<void>((resolve) => wake.push(resolve));
  };
  const lane = async (billing: Billing) => {
    while (!stopped.signal.aborted) {
      await permission();
      const requests = Array.from({ length: options.batch }, () =>
        aCharge(any(), BigInt(1 + Math.floor(Math.random() * 1e6))),
      );
      for (const outcome of await chargeMany(billing, requests)) {
        if (outcome.outcome !== "charged") throw new Error(JSON.stringify(outcome, String));
        counts.charged += 1;
      }
    }
  };
  const credits = async () => {
    while (!stopped.signal.aborted) {
      await permission();
      await stage.query("SELECT data.post_credit($1, 0.5, 'top_up', NULL, 'busy', 'test')", [any().id]);
      counts.credited += 1;
    }
  };
  // A hand that deletes accounts from Redis, again and again: they are loaded while they are charged.
  const deletions = async () => {
    while (!stopped.signal.aborted && options.deletions) {
      await permission();
      await stage.billing.redis.del(keyOf(any()));
      counts.deleted += 1;
    }
  };
  const ended = Promise.all([...handles.map(lane), credits(), deletions()]);
  ended.catch(() => {}); // whoever stops it is told
  return {
    counts,
    allow: (charges: number) => {
      allowed = charges;
      open();
    },
    stop: async () => {
      stopped.abort();
      open();
      await ended;
    },
  };
}

const keyOf = ({ id, ownerId }: AccountRef) => `balance:{${streamKey(shardOf(id, 16))}}:user:${ownerId}`;

async function makeAccounts(count: number): Promise<AccountRef[]> {
  return await Promise.all(Array.from({ length: count }, () => stage.account("100000")));
}

const show = (found: Reconciliation) => JSON.stringify(found.findings.slice(0, 3), null, 1);

/** Reconciles and verifies again and again, and lets nothing pass. */
async function watch(
  busy: ReturnType<typeof traffic>,
  { runs, verifyEvery, charges }: { runs: number; verifyEvery: number; charges: number },
): Promise<number> {
  let done = 0;
  for (; done < runs || busy.counts.charged < charges; done++) {
    busy.allow(Math.ceil(((done + 2) * charges) / runs));
    const found = await reconcile(stage.billing);
    expect(found.findings, `run ${done}: ${show(found)}`).toEqual([]);
    if (done % verifyEvery !== 0) continue;
    const chains = await verifyChain(stage.billing);
    const problems = chains.reports.filter(({ ok }) => !ok).slice(0, 3);
    expect(problems, `run ${done}: ${JSON.stringify(problems)}`).toEqual([]);
    expect(chains.ok).toBe(true);
  }
  return done;
}

describe("a busy system", () => {
  let running: Running[];
  beforeAll(() => {
    running = [stage.worker(), stage.worker({ consumer: "worker-2" }), stage.listener()];
  });
  afterAll(async () => {
    await Promise.all(running.map((one) => one.stop()));
  });

  test("Section 2: 40 reconciliations and 10 verifications during charges, top-ups and deletions of 50 accounts find nothing", async () => {
    const accounts = await makeAccounts(50);
    const busy = traffic(accounts, { batch: 10, deletions: true });
    await watch(busy, { runs: 40, verifyEvery: 4, charges: 6_000 });
    await busy.stop();
    // A credit of an account that is left deleted has nowhere to go: none must be.
    await Promise.all(accounts.map((account) => readBalance(stage.billing, account)));
    await stage.atRest();
    expect(busy.counts.credited).toBeGreaterThan(40);
    expect(busy.counts.deleted).toBeGreaterThan(40);
  }, 180_000);

  test("Section 2: 200 reconciliations and 20 verifications during 100,000 charges on 500 accounts from 3 gateways, with top-ups, find nothing; then one nano is found", async () => {
    const accounts = await makeAccounts(500);
    const busy = traffic(accounts, { batch: 25, deletions: false });
    const startedAt = performance.now();
    const runs = await watch(busy, { runs: 200, verifyEvery: 10, charges: 100_000 });
    const [victim] = accounts;
    if (!victim) throw new Error("no account");
    await stage.billing.redis.hincrby(keyOf(victim), "b", 1);
    const { findings } = await reconcile(stage.billing);
    await busy.stop();
    expect(findings).toMatchObject([
      { class: "foreign_write", accountId: victim.id, figures: { difference: { balance: "0.000000001" } } },
    ]);
    const seconds = (performance.now() - startedAt) / 1000;
    console.log(
      `${busy.counts.charged} charges, ${busy.counts.credited} credits, ${runs} runs in ${seconds.toFixed(1)} s`,
    );
    await stage.billing.redis.hincrby(keyOf(victim), "b", -1);
    expect(runs).toBeGreaterThanOrEqual(200);
    await stage.atRest();
    await proveAll(stage.billing);
    expect((await reconcile(stage.billing)).ok).toBe(true);
  }, 300_000);
});
