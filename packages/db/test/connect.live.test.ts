import { createServer, type Server, type Socket, connect as tcpConnect } from "node:net";
import { waitFor } from "@drawdown/local-stack";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { closeDb, connectDb, listen } from "../src/index.ts";
import { type Books, openBooks } from "./books.ts";

let books: Books;
beforeAll(async () => {
  books = await openBooks();
});
afterAll(() => books.close());

/** Stands between a client and Postgres. Silenced, it keeps its connections open and passes nothing on. */
async function openWire() {
  const target = new URL(books.url);
  const pairs = new Set<[Socket, Socket]>();
  let silent = false;
  const server: Server = createServer((near) => {
    const far = tcpConnect(Number(target.port), target.hostname);
    const pair: [Socket, Socket] = [near, far];
    pairs.add(pair);
    near.on("data", (bytes) => silent || far.write(bytes));
    far.on("data", (bytes) => silent || near.write(bytes));
    for (const [one, other] of [pair, [far, near]] as const) {
      one.on("error", () => {});
      one.on("close", () => other.destroy());
    }
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const address = server.address();
  const url = new URL(books.url);
  url.hostname = "127.0.0.1";
  url.port = String(typeof address === "object" ? address?.port : "");
  return {
    url: url.href,
    silence: (on: boolean) => {
      silent = on;
    },
    open: () => [...pairs].filter(([near]) => !near.destroyed).length,
    cut: () => {
      for (const [near] of pairs) near.destroy();
      pairs.clear();
    },
    refuse: () => new Promise((closed) => server.close(closed)),
  };
}

describe("Rule: Postgres going away is an error of a query, never of the process", () => {
  test("connections that are cut, idle or in a transaction, and a pool that works again", async () => {
    const wire = await openWire();
    const broken: Error[] = [];
    const db = connectDb(wire.url, { max: 3, onConnectionError: (error) => broken.push(error) });
    await Promise.all([1, 2].map(() => db.$client.query("SELECT pg_sleep(0.01)")));
    const held = await db.$client.connect();
    await held.query("BEGIN");
    wire.cut();
    await expect(held.query("SELECT 1")).rejects.toThrow();
    held.release(true);
    await waitFor(() => broken.length > 0, { timeoutMs: 5_000, what: "the idle connection to be reported" });
    expect((await db.$client.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await closeDb(db);
    await closeDb(db);
    wire.cut();
    await wire.refuse();
  });

  test("a server that is not there is an error within seconds, and closing is harmless", async () => {
    const wire = await openWire();
    await wire.refuse();
    const db = connectDb(wire.url);
    await expect(db.$client.query("SELECT 1")).rejects.toThrow("ECONNREFUSED");
    await closeDb(db);
  });

  test("a server that falls silent: the query fails in time, its connection is thrown away, the pool works again", async () => {
    const wire = await openWire();
    const db = connectDb(wire.url, { max: 1, queryTimeoutMs: 300 });
    await db.$client.query("SELECT 1");
    wire.silence(true);
    await expect(db.$client.query("SELECT 2")).rejects.toThrow("Query read timeout");
    wire.silence(false);
    expect((await db.$client.query("SELECT 3 AS three")).rows).toEqual([{ three: 3 }]);
    expect(wire.open()).toBe(1);
    await closeDb(db);
    await wire.refuse();
  });

  test("64-bit integers and numerics arrive as strings", async () => {
    const { rows } = await books.db.$client.query("SELECT 9007199254740993::int8 AS big, 0.1::numeric(28, 9) AS exact");
    expect(rows).toEqual([{ big: "9007199254740993", exact: "0.100000000" }]);
  });
});

describe("Rule: a listener is there for ever, and says each time when it listens again", () => {
  async function openListener(url: string) {
    const heard: string[] = [];
    const errors: string[] = [];
    let connections = 0;
    const stop = new AbortController();
    const done = listen(url, ["first channel", "second"], {
      signal: stop.signal,
      heartbeatMs: 200,
      onNotification: (channel, payload) => heard.push(`${channel}: ${payload}`),
      onConnected: () => {
        connections += 1;
        if (connections === 2) throw new Error("a callback that fails");
      },
      onError: (error) => errors.push(error.message),
    });
    const connected = (count: number) =>
      waitFor(() => connections >= count, { timeoutMs: 10_000, what: `connection ${count}` });
    await connected(1);
    return { heard, errors, connected, stop: () => stop.abort(), done };
  }
  const notify = (payload: string) =>
    books.rows("SELECT pg_notify('first channel', $1), pg_notify('second', '')", [payload]);
  const expectHeard = (heard: string[], payload: string) =>
    waitFor(() => heard.includes(`first channel: ${payload}`) && heard.includes("second: "), {
      timeoutMs: 5_000,
      what: `notification ${payload}`,
    });

  test("its backend terminated by the server", async () => {
    const listener = await openListener(books.url);
    await notify("1");
    await expectHeard(listener.heard, "1");
    await books.rows(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'drawdown listen' AND datname = current_database()",
    );
    await listener.connected(2);
    await notify("2"); // at once: LISTEN was in force when it said so
    await expectHeard(listener.heard, "2");
    expect(listener.errors).toContain("a callback that fails");
    listener.stop();
    await listener.done;
  });

  test("its connection dead without a word", async () => {
    const wire = await openWire();
    const listener = await openListener(wire.url);
    wire.silence(true);
    await waitFor(() => listener.errors.length > 0, { timeoutMs: 5_000, what: "the silence to be noticed" });
    expect(listener.errors[0]).toBe("no answer from Postgres for 200 ms");
    wire.silence(false);
    await listener.connected(2);
    expect(wire.open()).toBe(1); // the dead one was let go
    await notify("3");
    await expectHeard(listener.heard, "3");
    listener.stop();
    await listener.done;
    wire.cut();
    await wire.refuse();
  });

  test("stopped while it is connected, while it waits, and before it began, it ends and leaves no connection", async () => {
    const listener = await openListener(books.url);
    listener.stop();
    await listener.done;
    const wire = await openWire();
    await wire.refuse();
    const waiting = new AbortController();
    const refused = Promise.withResolvers<void>();
    const done = listen(wire.url, ["c"], {
      signal: waiting.signal,
      onNotification: () => {},
      onError: () => refused.resolve(),
    });
    await refused.promise;
    waiting.abort();
    await done;
    await listen(books.url, ["c"], { signal: AbortSignal.abort(), onNotification: () => {} });

    const silent = await openWire();
    silent.silence(true);
    const connecting = new AbortController();
    let ended = false;
    const never = (async () => {
      await listen(silent.url, ["c"], { signal: connecting.signal, onNotification: () => {} });
      ended = true;
    })();
    await waitFor(() => silent.open() === 1, { timeoutMs: 5_000, what: "the connection to be tried" });
    connecting.abort();
    await waitFor(() => ended, { timeoutMs: 2_000, what: "the listener to end while it connects" });
    await never;
    await silent.refuse();
    await waitFor(
      async () =>
        (
          await books.rows(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'drawdown listen' AND datname = current_database()",
          )
        ).length === 0,
      { timeoutMs: 5_000, what: "the listener's connection to be gone" },
    );
  });
});
