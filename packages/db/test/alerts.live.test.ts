import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Delivery, deliverNext, findDueAlerts, findNextAttempt, openAlert, resolveAlert } from "../src/index.ts";
import { type Books, openBooks } from "./books.ts";

let books: Books;
beforeAll(async () => {
  books = await openBooks();
});
afterAll(() => books.close());
beforeEach(async () => {
  await books.rows("DELETE FROM data.alert_event");
  await books.rows("DELETE FROM data.alert");
});

const alert = { level: "warning", kind: "backlog", key: "", message: "m", details: {} } as const;
const events = () => books.rows("SELECT event, level, outcome, attempts, last_error FROM data.alert_event ORDER BY id");
const theAlert = async () => (await findDueAlerts(books.db))[0] ?? "none is due";
const posted = async (): Promise<Delivery> => ({ outcome: "posted" });

describe("Rule: each opening, worsening and resolving of an alert is told once", () => {
  test("an event stands beside each, and beside nothing else", async () => {
    await Promise.all([1, 2, 3].map(() => openAlert(books.db, alert)));
    await openAlert(books.db, { ...alert, message: "still" });
    await openAlert(books.db, { ...alert, level: "critical" });
    await openAlert(books.db, alert); // better, and not over: its level stays what it was at worst
    await resolveAlert(books.db, "backlog", "");
    await resolveAlert(books.db, "backlog", "");
    const waiting = { outcome: null, attempts: 0, last_error: null };
    expect(await events()).toEqual([
      { event: "opened", level: "warning", ...waiting },
      { event: "worsened", level: "critical", ...waiting },
      { event: "resolved", level: "critical", ...waiting },
    ]);
  });

  test("an alert that is rolled back leaves no event", async () => {
    const client = await books.db.$client.connect();
    await client.query("BEGIN");
    await client.query("INSERT INTO data.alert (level, kind, message) VALUES ('critical', 'drift', 'm')");
    await client.query("ROLLBACK");
    client.release();
    expect(await events()).toEqual([]);
  });

  test("events of an alert are delivered in their order, one at a time, each to one of several that deliver", async () => {
    await openAlert(books.db, alert);
    await resolveAlert(books.db, "backlog", "");
    const id = await theAlert();
    const seen: string[] = [];
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let taken = () => {};
    const isTaken = new Promise<void>((resolve) => {
      taken = resolve;
    });
    const first = deliverNext(books.db, id, async ({ event }) => {
      seen.push(event);
      taken();
      await held;
      return { outcome: "posted" };
    });
    await isTaken;
    expect(await deliverNext(books.db, id, posted)).toBeUndefined();
    release();
    await first;
    await deliverNext(books.db, id, async ({ event, alert: { resolvedAt } }) => {
      seen.push(event);
      expect(resolvedAt).toBeInstanceOf(Date);
      return { outcome: "skipped" };
    });
    expect(seen).toEqual(["opened", "resolved"]);
    expect(await deliverNext(books.db, id, posted)).toBeUndefined();
    expect(await findDueAlerts(books.db)).toEqual([]);
  });

  test("what failed is tried again when its time has come, and nothing overtakes it meanwhile", async () => {
    await openAlert(books.db, alert);
    await resolveAlert(books.db, "backlog", "");
    const id = await theAlert();
    await deliverNext(books.db, id, async () => ({ retryInMs: 60_000, error: "the address answered 500" }));
    expect(await deliverNext(books.db, id, posted)).toBeUndefined();
    expect(await findDueAlerts(books.db)).toEqual([]);
    expect((await findNextAttempt(books.db))?.getTime()).toBeGreaterThan(Date.now() + 50_000);
    expect((await events())[0]).toMatchObject({ outcome: null, attempts: 1, last_error: "the address answered 500" });
    await books.rows("UPDATE data.alert_event SET next_attempt_at = now()");
    await deliverNext(books.db, id, async ({ event, attempts }) => {
      expect({ event, attempts }).toEqual({ event: "opened", attempts: 1 });
      return { outcome: "posted" };
    });
    expect((await events())[0]).toMatchObject({ outcome: "posted", attempts: 2 });
  });

  test("a deliverer that dies leaves the event to be delivered again", async () => {
    await openAlert(books.db, alert);
    const id = await theAlert();
    const dying = deliverNext(books.db, id, async () => {
      throw new Error("the process is gone");
    });
    await expect(dying).rejects.toThrow("gone");
    expect(await findDueAlerts(books.db)).toEqual([id]);
    expect(await deliverNext(books.db, id, posted)).toEqual({ outcome: "posted" });
  });
});
