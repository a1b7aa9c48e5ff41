// Runs seeds, several at a time: one waits for its servers to be back while another computes. Each has servers of its own, as a
// failing one has when it is run again alone.
import { expect, test } from "vitest";
import { runSeed } from "./simulation.ts";
import { type Fault, faults } from "./simulation-schedule.ts";
import { openStage } from "./stage.ts";

const FIRST = Number(process.env.SIM_FIRST_SEED ?? 1);
const SEEDS = Number(process.env.SIM_SEEDS ?? 8);
const AT_ONCE = Number(process.env.SIM_AT_ONCE ?? 4);
const OPERATIONS = 2_000;
const ACCOUNTS = 20;
/** Five accounts share one, so that more meets in each, and what is done shard by shard does not take most of the time. */
const SHARDS = 4;
/** From so many seeds on, every fault must have happened at least so often. */
const ENOUGH_SEEDS = 100;
const LEAST = 50;
const PROGRESS_EVERY = 20;

test(`5: ${SEEDS} seeds from ${FIRST}: whatever crashes, every account equals the model to the nano at rest, and its chain is whole`, {
  timeout: 120_000 + SEEDS * 30_000,
}, async () => {
  const counts = new Map<Fault | "refused", number>();
  const failures: string[] = [];
  let started = 0;
  const lane = async () => {
    while (started < SEEDS) {
      if (started > 0 && started % PROGRESS_EVERY === 0) console.log(`${started} of ${SEEDS} seeds`);
      failures.push(...(await tryOne(FIRST + started++, counts)));
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, SEEDS) }, lane));
  console.log(["refused" as const, ...faults].map((what) => `${what}: ${counts.get(what) ?? 0}`).join("\n"));
  expect(failures).toEqual([]);
  if (SEEDS >= ENOUGH_SEEDS)
    for (const fault of faults) expect(counts.get(fault) ?? 0, fault).toBeGreaterThanOrEqual(LEAST);
});

async function tryOne(seed: number, counts: Map<Fault | "refused", number>): Promise<string[]> {
  const stage = await openStage({ numShards: SHARDS });
  try {
    const problems = await runSeed({ stage, seed, operations: OPERATIONS, accounts: ACCOUNTS, counts }).catch(
      (error) => [error instanceof Error ? String(error.stack) : String(error)],
    );
    if (problems.length === 0) return [];
    const failure = [`seed ${seed}, again with SIM_FIRST_SEED=${seed} SIM_SEEDS=1`, ...problems];
    console.error(failure.join("\n"));
    return failure;
  } finally {
    await stage.close();
  }
}
