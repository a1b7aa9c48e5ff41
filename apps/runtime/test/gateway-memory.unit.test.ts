import { describe, expect, it } from "vitest";
import { Memory } from "../src/gateway/memory.ts";

type Row = { version: number };

function stage(refreshAfterMs = 1_000) {
  let nowMs = 0;
  let version = 1;
  let loads = 0;
  let gate: Promise<void> | undefined;
  let down = false;
  const memory = new Memory<Row>({
    max: 3,
    refreshAfterMs,
    now: () => nowMs,
    load: async (key) => {
      loads += 1;
      const read = version;
      await gate;
      if (down) throw new Error("the store is down");
      return key === "absent" ? undefined : { version: read };
    },
  });
  return {
    memory,
    loads: () => loads,
    write: () => (version += 1),
    pass: (ms: number) => (nowMs += ms),
    close: (isDown: boolean) => (down = isDown),
    holdLoads: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = promise;
      return () => {
        gate = undefined;
        resolve();
      };
    },
  };
}

describe("the memory of keys", () => {
  it("asks the store once, also for many at once, and also for what is not there", async () => {
    const { memory, loads } = stage();
    await Promise.all(["a", "a", "a"].map((key) => memory.get(key)));
    await memory.get("a");
    await memory.get("absent");
    expect([await memory.get("absent"), loads()]).toEqual([undefined, 2]);
  });

  it("reads again what it was told to forget", async () => {
    const { memory, write } = stage();
    await memory.get("a");
    write();
    expect(await memory.get("a")).toEqual({ version: 1 });
    memory.forget("a");
    expect(await memory.get("a")).toEqual({ version: 2 });
    write();
    memory.forget();
    expect(await memory.get("a")).toEqual({ version: 3 });
  });

  it("does not keep what it read before it was told to forget", async () => {
    const { memory, write, holdLoads } = stage();
    const release = holdLoads();
    const early = memory.get("a");
    write();
    memory.forget("a");
    release();
    expect(await early).toEqual({ version: 1 });
    expect(await memory.get("a")).toEqual({ version: 2 });
  });

  it("serves what it knows while the store is down, and says so only for what it does not know", async () => {
    const { memory, close, pass } = stage();
    await memory.get("a");
    close(true);
    pass(5_000);
    expect(await memory.get("a")).toEqual({ version: 1 });
    expect(await memory.get("a")).toEqual({ version: 1 });
    await expect(memory.get("b")).rejects.toThrow("down");
    close(false);
    expect(await memory.get("b")).toEqual({ version: 1 });
  });

  it("finds a change whose notification was lost, behind the first answer after the deadline", async () => {
    const { memory, write, pass } = stage();
    await memory.get("a");
    write();
    pass(1_001);
    expect(await memory.get("a")).toEqual({ version: 1 });
    await expect.poll(() => memory.get("a")).toEqual({ version: 2 });
  });

  it("reads what is in doubt before it is used, and serves it when the store is away again", async () => {
    const { memory, write, close, loads } = stage();
    await memory.get("a");
    await memory.get("b");
    write();
    memory.doubt();
    expect(await memory.get("a")).toEqual({ version: 2 });
    close(true);
    expect(await memory.get("b")).toEqual({ version: 1 });
    const asked = loads();
    expect([await memory.get("b"), loads()]).toEqual([{ version: 1 }, asked]);
  });

  it("keeps a bounded number", async () => {
    const { memory, loads } = stage();
    for (const key of ["a", "b", "c", "d", "d", "a"]) await memory.get(key);
    expect(loads()).toBe(5);
  });
});
