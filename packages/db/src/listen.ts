// LISTEN on a connection of its own, for ever: connect → LISTEN → onConnected → (notifications, a heartbeat each 2 s)
// → lost → wait → connect … until the signal aborts. Notifications are a wake-up only: what came while no connection was
// up is lost, so the caller catches up in onConnected, which is called when LISTEN is in force.

import { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { connection } from "./connect.ts";

export type ListenOptions = {
  onNotification: (channel: string, payload: string) => void;
  /** After each connect and reconnect. What it throws or rejects goes to onError, and the connection stays. */
  onConnected?: () => void | Promise<void>;
  /** Why a connection failed or was lost, and what a callback threw. */
  onError?: (error: Error) => void;
  signal: AbortSignal;
  /** How often the connection is tried, and how long an answer may take. */
  heartbeatMs?: number;
};

const backOffMs = { first: 100, most: 5_000 };

/** Resolves when the signal has aborted and the connection is closed; never rejects. */
export async function listen(url: string, channels: readonly string[], options: ListenOptions): Promise<void> {
  let delayMs = backOffMs.first;
  while (!options.signal.aborted) {
    const connected = await listenOnce(url, channels, options);
    if (options.signal.aborted) return;
    delayMs = connected ? backOffMs.first : Math.min(delayMs * 2, backOffMs.most);
    // Not all gateways at the same instant when Postgres comes back.
    await sleep(delayMs * (0.5 + Math.random() / 2), undefined, { signal: options.signal }).catch(() => {});
  }
}

/** One connection's life. True when it got as far as LISTEN. */
async function listenOnce(url: string, channels: readonly string[], options: ListenOptions): Promise<boolean> {
  const { signal } = options;
  // Our own socket: a connection that is silently dead can be destroyed; `client.end()` would wait for its answer.
  const socket = new Socket();
  const client = new pg.Client({
    ...connection,
    connectionString: url,
    application_name: "drawdown listen",
    stream: () => socket,
  });
  const lost = new AbortController();
  const report = (error: unknown) => options.onError?.(error instanceof Error ? error : new Error(String(error)));
  client.on("error", (error) => lost.abort(error)); // also when the server closes it
  const guarded = (call: () => void | Promise<void>) => {
    void (async () => call())().catch(report);
  };
  client.on("notification", ({ channel, payload }) => guarded(() => options.onNotification(channel, payload ?? "")));
  const stop = () => socket.destroy();
  signal.addEventListener("abort", stop);

  let listening = false;
  try {
    await client.connect();
    await client.query(channels.map((channel) => `LISTEN ${pg.escapeIdentifier(channel)}`).join(";"));
    listening = true;
    if (options.onConnected) guarded(options.onConnected);
    await heartbeat(client, AbortSignal.any([signal, lost.signal]), options.heartbeatMs ?? 2_000);
    throw lost.signal.reason ?? new Error("the connection was lost");
  } catch (error) {
    if (!signal.aborted) report(error);
  } finally {
    signal.removeEventListener("abort", stop);
    socket.destroy();
  }
  return listening;
}

/** Returns when the signal aborts; throws when a query is not answered in time. */
async function heartbeat(client: pg.Client, signal: AbortSignal, everyMs: number): Promise<void> {
  while (!signal.aborted) {
    await sleep(everyMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    const late = new AbortController();
    const answer = client.query("SELECT 1");
    answer.catch(() => {}); // if it loses the race below
    const timer = sleep(everyMs, undefined, { signal: late.signal }).then(() => {
      throw new Error(`no answer from Postgres for ${everyMs} ms`);
    });
    timer.catch(() => {});
    await Promise.race([answer, timer]).finally(() => late.abort());
  }
}
