import { expect, test } from "vitest";
import { type ProcessFault, processFaults, runProcessSeed } from "./process-simulation.ts";

const first = Number(process.env["PROCESS_SIM_FIRST_SEED"] ?? 1);
const seeds = Number(process.env["PROCESS_SIM_SEEDS"] ?? 1);
/** One waits for its processes to be back while another works. */
const atOnce = Number(process.env["PROCESS_SIM_AT_ONCE"] ?? 2);
const options = { operations: 2_000, accounts: 20 };
/** From so many seeds on, every fault must have happened at least so often. */
const enoughSeeds = 10;
const least = 50;

test(`5: ${seeds} seeds from ${first} kill gateways, workers, Postgres and Redis: every account equals the model to the nano at rest, and its chain is whole`, {
  timeout: 120_000 + seeds * 240_000,
}, async () => {
  const counts = new Map<ProcessFault | "refused", number>();
  const failures: string[] = [];
  let started = 0;
  const lane = async () => {
    while (started < seeds) {
      const seed = first + started;
      started += 1;
      failures.push(...(await tryOne(seed, counts)));
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, seeds) }, lane));
  console.log(["refused" as const, ...processFaults].map((what) => `${what}: ${counts.get(what) ?? 0}`).join("\n"));
  expect(failures).toEqual([]);
  if (seeds >= enoughSeeds)
    for (const fault of processFaults) expect(counts.get(fault) ?? 0, fault).toBeGreaterThanOrEqual(least);
});

async function tryOne(seed: number, counts: Map<ProcessFault | "refused", number>): Promise<string[]> {
  const startedAt = performance.now();
  const problems = await runProcessSeed({ seed, counts, ...options });
  console.log(`seed ${seed}: ${Math.round((performance.now() - startedAt) / 1_000)} s, ${problems.length} problems`);
  if (problems.length === 0) return [];
  const failure = [`seed ${seed}, again with PROCESS_SIM_FIRST_SEED=${seed} PROCESS_SIM_SEEDS=1`, ...problems];
  console.error(failure.join("\n"));
  return failure;
}
