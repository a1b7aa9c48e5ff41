import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { listSchedules, registerSchedules, runSchedule } from "../src/index.ts";
import { type Books, openBooks } from "./books.ts";

let books: Books;
beforeAll(async () => {
  books = await openBooks();
});
afterAll(() => books.close());
beforeEach(async () => {
  await books.rows("DELETE FROM data.schedule");
});

const hourly = { name: "cleanup", intervalMs: 3_600_000, firstDelayMs: 1_800_000, settings: { max_age_ms: 1 } };
const noon = Date.parse("2026-01-01T12:00:00Z");
const minutes = (n: number) => new Date(noon + n * 60_000);
const next = async () => (await listSchedules(books.db)).map(({ nextRunAt }) => (nextRunAt.getTime() - noon) / 60_000);

describe("Rule: a schedule is planned once for all workers", () => {
  test("the first run waits for its delay, from the first start alone, and on a whole minute", async () => {
    await registerSchedules(books.db, [hourly], new Date(noon + 1));
    expect(await next()).toEqual([31]);
    await registerSchedules(books.db, [hourly], minutes(20));
    await registerSchedules(books.db, [hourly], minutes(32)); // the beat of minute 31 is on its way
    expect(await next()).toEqual([31]);
  });

  test("what was missed while no worker ran waits for the delay again", async () => {
    await registerSchedules(books.db, [hourly], minutes(0));
    await registerSchedules(books.db, [hourly], minutes(300));
    expect(await next()).toEqual([330]);
  });

  test("a shorter interval holds at once, and settings are those of the last start", async () => {
    await registerSchedules(books.db, [hourly], minutes(0));
    await registerSchedules(books.db, [{ ...hourly, intervalMs: 600_000, settings: { max_age_ms: 2 } }], minutes(5));
    expect(await next()).toEqual([15]);
    expect(await listSchedules(books.db)).toMatchObject([{ name: "cleanup", settings: { max_age_ms: 2 } }]);
  });
});

describe("Rule: a schedule runs once at a time, and a dead process is not taken to run it", () => {
  test("its state says whether it runs, since when it ran last, and with which result", async () => {
    await registerSchedules(books.db, [hourly]);
    expect(await listSchedules(books.db)).toMatchObject([{ running: false, lastRunAt: null, lastResult: null }]);
    const ran = await runSchedule(books.db, "cleanup", async () => {
      expect(await listSchedules(books.db)).toMatchObject([{ running: true, lastRunAt: null }]);
      expect(await runSchedule(books.db, "cleanup", async () => ({ never: true }))).toBe(false);
      return { trimmed: 7 };
    });
    expect(ran).toBe(true);
    const state = { running: false, lastRunAt: expect.any(Date), lastResult: { trimmed: 7 } };
    expect(await listSchedules(books.db)).toMatchObject([state]);
  });

  test("a run whose connection broke is over for everybody else, and leaves no lock behind", async () => {
    await registerSchedules(books.db, [hourly]);
    const broken = runSchedule(books.db, "cleanup", async () => {
      await books.rows(
        `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database =
           (SELECT oid FROM pg_database WHERE datname = current_database())`,
      );
      return {};
    });
    await expect(broken).rejects.toThrow();
    expect(await listSchedules(books.db)).toMatchObject([{ running: false, lastRunAt: null }]);
    expect(await runSchedule(books.db, "cleanup", async () => ({}))).toBe(true);
  });
});
