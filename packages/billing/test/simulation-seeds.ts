// Which seeds run, and how they are counted. Two files share them, so that two cores do.
import { expect, test } from "vitest";
import { type Fault, faults, runSeed } from "./simulation.ts";
import { openStage } from "./stage.ts";

const FIRST = Number(process.env.SIM_FIRST_SEED ?? 1);
const SEEDS = Number(process.env.SIM_SEEDS ?? 8);
const OPERATIONS = 2_000;
const ACCOUNTS = 20;
/** Servers of their own again after so many seeds: the ids that Redis remembers would slow its restarts down. */
const SEEDS_PER_STAGE = 10;
/** From so many seeds a file on, every fault must have happened at least so often. */
const ENOUGH_SEEDS = 40;
const LEAST = 50;

/** Every other seed, beginning with the first or the second. */
export function testSeeds(offset: 0 | 1): void {
  const seeds = Array.from({ length: SEEDS }, (_, i) => FIRST + i).filter((_, i) => i % 2 === offset);
  test.skipIf(seeds.length === 0)(
    `${seeds.length} seeds from ${seeds[0]}: whatever crashes, every account equals the model to the nano at rest, and its chain is whole`,
    { timeout: seeds.length * 60_000 },
    async () => {
      const counts = new Map<Fault | "refused", number>();
      const failures: string[] = [];
      for (let at = 0; at < seeds.length; at += SEEDS_PER_STAGE)
        failures.push(...(await runSeeds(seeds.slice(at, at + SEEDS_PER_STAGE), counts)));
      console.log(["refused" as const, ...faults].map((what) => `${what}: ${counts.get(what) ?? 0}`).join("\n"));
      expect(failures).toEqual([]);
      if (seeds.length >= ENOUGH_SEEDS)
        for (const fault of faults) expect(counts.get(fault) ?? 0, fault).toBeGreaterThanOrEqual(LEAST);
    },
  );
}

async function runSeeds(seeds: readonly number[], counts: Map<Fault | "refused", number>): Promise<string[]> {
  const failures: string[] = [];
  let stage = await openStage();
  for (const seed of seeds) {
    const problems = await runSeed({ stage, seed, operations: OPERATIONS, accounts: ACCOUNTS, counts });
    if (problems.length === 0) continue;
    failures.push(`seed ${seed}, again with SIM_FIRST_SEED=${seed} SIM_SEEDS=1`, ...problems);
    console.error(failures.slice(-1 - problems.length).join("\n"));
    // What is wrong here must not be found again by the next seed.
    await stage.close();
    stage = await openStage();
  }
  await stage.close();
  return failures;
}
