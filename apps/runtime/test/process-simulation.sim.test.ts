import { expect, test } from "vitest";
import { type ProcessFault, processFaults, runProcessSeed } from "./process-simulation.ts";

const first = Number(process.env["PROCESS_SIM_FIRST_SEED"] ?? 1);
const seeds = Number(process.env["PROCESS_SIM_SEEDS"] ?? 1);
const options = { operations: 2_000, accounts: 20 };
/** From so many seeds on, every fault must have happened at least so often. */
const enoughSeeds = 10;
const least = 50;

test(`5: ${seeds} seeds from ${first} kill gateways, workers, Postgres and Redis: every account equals the model to the nano at rest, and its chain is whole`, {
  timeout: seeds * 240_000,
}, async () => {
  const counts = new Map<ProcessFault | "refused", number>();
  const failures: string[] = [];
  for (let seed = first; seed < first + seeds; seed += 1) {
    const startedAt = performance.now();
    const problems = await runProcessSeed({ seed, counts, ...options });
    console.log(`seed ${seed}: ${Math.round((performance.now() - startedAt) / 1_000)} s, ${problems.length} problems`);
    if (problems.length > 0)
      failures.push(`seed ${seed}, again with PROCESS_SIM_FIRST_SEED=${seed} PROCESS_SIM_SEEDS=1`, ...problems);
  }
  console.log(["refused" as const, ...processFaults].map((what) => `${what}: ${counts.get(what) ?? 0}`).join("\n"));
  expect(failures).toEqual([]);
  if (seeds >= enoughSeeds)
    for (const fault of processFaults) expect(counts.get(fault) ?? 0, fault).toBeGreaterThanOrEqual(least);
});
