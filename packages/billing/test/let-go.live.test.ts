// What a store was sent leaves memory by the quick collections of the young generation, although the drivers' own objects wait for a full one.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { queryOf } from "../src/postgres.ts";
import { runScript } from "../src/redis.ts";
import { openStage, type Stage } from "./stage.ts";

const CALLS = 200;
const TEXTS = 1_000;

let stage: Stage;
let collectYoung: () => void;
beforeAll(async () => {
  stage = await openStage();
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as (options: { type: "minor" }) => void;
  collectYoung = () => gc({ type: "minor" });
});
afterAll(() => stage.close());

/** Megabytes that so many calls leave, of the 10 and more that their texts are. */
async function left(call: (texts: string[]) => Promise<unknown>): Promise<number> {
  const used = () => {
    for (let i = 0; i < 3; i++) collectYoung();
    return process.memoryUsage().heapUsed / 1e6;
  };
  const many = async (calls: number) => {
    for (let n = 0; n < calls; n++)
      await call(Array.from({ length: TEXTS }, (_, i) => `text ${i} of the call ${n} of many`));
  };
  await many(20);
  const before = used();
  await many(CALLS);
  return used() - before;
}

test("the arguments of a script call are let go when it is answered", async () => {
  const script = { source: "return #ARGV", sha: "0".repeat(40) };
  expect(await left((texts) => runScript(stage.billing.redis, script, [], texts))).toBeLessThan(8);
});

test("the values of a statement are let go when it is answered, and the caller's list is as it was", async () => {
  const query = queryOf(stage.db);
  const mine: unknown[] = ["a", 1];
  expect(await query("SELECT $1::text AS a, $2::int AS b", mine)).toEqual([{ a: "a", b: 1 }]);
  expect(mine).toEqual(["a", 1]);
  expect(await left((texts) => query("SELECT cardinality($1::text[])", [texts]))).toBeLessThan(8);
});
