// More and more loaded accounts, each number of them on a stage of its own, so that one Redis is not filled by another's accounts.
import { Redis } from "ioredis";
import { addAccounts, chargeNext, LANES, openCharging, ROUND_MS } from "./charge-load.ts";
import { watched } from "./growth-busy.ts";
import type { Chart } from "./growth-chart.ts";
import { takeTurns } from "./growth-turns.ts";
import { inLanes, percentile } from "./statistics.ts";

const ACCOUNTS = [1_000, 10_000, 100_000, 1_000_000];
const ROUNDS = 5;

type Stage = Awaited<ReturnType<typeof openCharging>> & { accounts: number; bytes: number };

export async function growAccounts(): Promise<Chart> {
  const stages: Stage[] = [];
  try {
    for (const accounts of ACCOUNTS) stages.push(await openLoaded(accounts));
    const { figures, busy } = await takeTurns(ROUNDS, stages, (stage) =>
      watched("charging process", () => round(stage)),
    );
    const lines = [
      { name: "charges/s", values: figures("perSecond") },
      { name: "p99 of a charge, ms", values: figures("p99") },
      { name: "bytes an account", values: stages.map(({ bytes }) => bytes) },
    ];
    return { name: "accounts", grows: "loaded accounts", points: ACCOUNTS, lines, busy };
  } finally {
    for (const stage of stages) await stage.close();
  }
}

/** The first accounts load the script and grow the connections' buffers: they are not weighed. */
async function openLoaded(accounts: number): Promise<Stage> {
  const unweighed = 100;
  const opened = await openCharging(unweighed);
  const redis = new Redis(opened.stack.redisUrl);
  const used = async () => Number(/^used_memory:(\d+)/m.exec(await redis.info("memory"))?.[1]);
  const before = await used();
  await addAccounts(opened.billing, unweighed, accounts);
  const bytes = ((await used()) - before) / (accounts - unweighed);
  redis.disconnect();
  return { ...opened, accounts, bytes };
}

/** As `chargeInLanes`, and how long each charge took. */
async function round({ billing, accounts }: Stage) {
  const taken: number[] = [];
  const perSecond = await inLanes(LANES, ROUND_MS, async () => {
    const at = performance.now();
    await chargeNext(billing, accounts);
    taken.push(performance.now() - at);
  });
  return { perSecond, p99: percentile(taken, 0.99) };
}
