import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import { closeDb, connectDb, type Db, openAlert, resolveAlert } from "@drawdown/db";
import { type TestDatabase, testDatabase, waitFor } from "@drawdown/local-stack";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runJobs } from "../src/jobs/runner.ts";
import { beatCron, scheduleTasks } from "../src/jobs/schedules.ts";
import { defaultWebhookSettings, type WebhookSettings, webhookTask } from "../src/jobs/webhook.ts";

const secret = "a-secret-that-no-log-may-hold";
type Post = {
  headers: IncomingHttpHeaders;
  body: string;
  event: { id: string; event: string; alert: { key: string } };
};

let database: TestDatabase;
let db: Db;
const closers: (() => unknown)[] = [];
beforeEach(async () => {
  database = await testDatabase();
  db = connectDb(database.url);
});
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
  await closeDb(db);
  await database.drop();
});

const within = { timeoutMs: 15_000 };
const events = async () =>
  (await db.$client.query("SELECT event, outcome, attempts, last_error FROM data.alert_event ORDER BY id")).rows;

/** An address that answers with what `answer` says, and keeps what it was sent. `0`: it hangs up without an answer. */
async function openReceiver(answer: (post: Post) => number = () => 204) {
  const posts: Post[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (bytes) => {
      body += String(bytes);
    });
    request.on("end", () => {
      const post: Post = { headers: request.headers, body, event: JSON.parse(body) as Post["event"] };
      posts.push(post);
      const status = answer(post);
      if (status === 0) request.socket.destroy();
      else response.writeHead(status, { location: "/elsewhere" }).end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  return { posts, url: `http://127.0.0.1:${port}/hooks/T0?token=of-the-address`, said: () => posts.map(nameOf) };
}
const nameOf = ({ event }: Post) => `${event.event} ${event.alert.key}`;

/** A worker's queue with the webhook alone. */
async function startQueue(settings: Partial<WebhookSettings> & Pick<WebhookSettings, "url">) {
  const closing = new AbortController();
  const log: string[] = [];
  const onError = (error: unknown) => void log.push(`${String(error)} ${error instanceof Error ? error.stack : ""}`);
  let started = () => {};
  const ready = new Promise<void>((resolve) => {
    started = resolve;
  });
  const all = { ...defaultWebhookSettings, retryFirstMs: 10, secret, levels: ["warning", "critical"], ...settings };
  const ended = runJobs({
    databaseUrl: database.url,
    taskList: { ...webhookTask(db, all, closing.signal), ...scheduleTasks(db, [], closing.signal, onError) },
    parsedCronItems: beatCron(),
    signal: closing.signal,
    log: { debug: (line: string) => void log.push(line), warn: (line: string) => void log.push(line) },
    onError,
    onStarted: async () => started(),
    pollMs: 50,
  });
  const stop = async () => {
    closing.abort();
    await ended;
  };
  closers.push(stop);
  await ready;
  return { log, stop };
}

const alert = { level: "warning", kind: "backlog", key: "", message: "m", details: { unsettled: 60_000 } } as const;
/** What cron does each minute. */
const beat = () =>
  db.$client.query(
    `SELECT graphile_worker.add_job('beat', json_build_object('_cron', json_build_object('ts', now())))`,
  );

describe("the webhook", () => {
  test("each opening, worsening and resolving is posted once, in order, at once", async () => {
    const receiver = await openReceiver();
    await startQueue(receiver);
    await openAlert(db, alert);
    await waitFor(() => receiver.posts.length === 1, { ...within, what: "the first post" });
    await openAlert(db, alert);
    await openAlert(db, { ...alert, level: "critical" });
    await resolveAlert(db, "backlog", "");
    await openAlert(db, alert);
    await waitFor(() => receiver.posts.length === 4, { ...within, what: "all posts" });
    expect(receiver.posts.map(({ event }) => event.event)).toEqual(["opened", "worsened", "resolved", "opened"]);
    expect(new Set(receiver.posts.map(({ event }) => event.id)).size).toBe(4);
    await waitFor(async () => (await events()).every(({ outcome }) => outcome === "posted"), {
      ...within,
      what: "all to be kept as posted",
    });
    expect(receiver.posts[0]?.event).toMatchObject({
      alert: { kind: "backlog", level: "warning", message: "m", details: { unsettled: 60_000 }, resolved_at: null },
    });
  });

  test("a post is signed: HMAC-SHA256 over the time and the body, in documented headers", async () => {
    const receiver = await openReceiver();
    await startQueue(receiver);
    await openAlert(db, { ...alert, message: "Überlauf – 60 %" });
    await waitFor(() => receiver.posts.length === 1, { ...within, what: "the post" });
    const [post] = receiver.posts;
    if (post === undefined) throw new Error("there is no post");
    const { headers, body, event } = post;
    const timestamp = String(headers["x-drawdown-timestamp"]);
    const expected = createHmac("sha256", secret).update(`${timestamp}.${body}`).digest("hex");
    expect(headers).toMatchObject({
      "content-type": "application/json",
      "x-drawdown-event-id": event.id,
      "x-drawdown-signature": `sha256=${expected}`,
    });
    expect(Math.abs(Date.now() / 1_000 - Number(timestamp))).toBeLessThan(30);
  });

  test.each([0, 500, 404, 302])(
    "what is answered with %i is tried again until it is taken, and its end does not overtake it",
    async (status) => {
      let refusals = 3;
      const receiver = await openReceiver(() => (refusals-- > 0 ? status : 200));
      await startQueue(receiver);
      await openAlert(db, alert);
      await resolveAlert(db, "backlog", "");
      await waitFor(async () => (await events()).every(({ outcome }) => outcome === "posted"), {
        ...within,
        what: "both to be taken",
      });
      expect(receiver.said()).toEqual(["opened ", "opened ", "opened ", "opened ", "resolved "]);
      expect((await events()).map(({ attempts }) => Number(attempts))).toEqual([4, 1]);
    },
  );

  test("the time between two attempts doubles up to its cap", async () => {
    const receiver = await openReceiver(() => 500);
    await startQueue({ ...receiver, retryFirstMs: 100_000, retryMostMs: 300_000 });
    await openAlert(db, alert);
    const waits: number[] = [];
    for (let attempt = 1; attempt <= 4; attempt++) {
      await waitFor(async () => (await events())[0]?.attempts === attempt, { ...within, what: `attempt ${attempt}` });
      const sql = "SELECT extract(epoch FROM next_attempt_at - now())::float8 AS s FROM data.alert_event";
      waits.push(Math.round(((await db.$client.query<{ s: number }>(sql)).rows[0]?.s ?? 0) / 10) * 10);
      await db.$client.query("UPDATE data.alert_event SET next_attempt_at = now()");
      await beat();
    }
    expect(waits).toEqual([100, 200, 300, 300]);
    expect((await events())[0]).toMatchObject({ outcome: null, last_error: "the address answered 500" });
  });

  test("one that is refused for itself does not hold up the others", async () => {
    const receiver = await openReceiver(({ event }) => (event.alert.key === "cursed" ? 400 : 200));
    await startQueue({ ...receiver, retryFirstMs: 60_000 });
    await openAlert(db, { ...alert, key: "cursed" });
    await openAlert(db, { ...alert, key: "good" });
    await waitFor(() => receiver.said().includes("opened good"), { ...within, what: "the other one" });
    expect(receiver.said().filter((said) => said === "opened cursed")).toHaveLength(1);
  });

  test("what opened while there was no queue, or whose worker was killed, is posted at the next beat", async () => {
    await openAlert(db, alert); // no queue is installed: nobody was woken
    const receiver = await openReceiver();
    await startQueue(receiver);
    await beat();
    await waitFor(() => receiver.posts.length === 1, { ...within, what: "the one of before the queue" });
    // A killed worker: its job stays locked, for hours.
    await db.$client.query(
      `SELECT graphile_worker.add_job('nobody'); ALTER TABLE data.alert DISABLE TRIGGER USER;
       UPDATE data.alert SET resolved_at = now(); ALTER TABLE data.alert ENABLE TRIGGER USER;
       INSERT INTO data.alert_event (alert_id, event, level) SELECT id, 'resolved', level FROM data.alert`,
    );
    await beat();
    await waitFor(() => receiver.posts.length === 2, { ...within, what: "the one that was left" });
  });

  test("levels that are not wanted, and alerts without an address, are kept as skipped and never posted later", async () => {
    const first = await startQueue({ url: undefined });
    await openAlert(db, { ...alert, key: "nowhere" });
    await waitFor(async () => (await events())[0]?.["outcome"] === "skipped", {
      ...within,
      what: "the first to be skipped",
    });
    await first.stop();
    const receiver = await openReceiver();
    await startQueue({ ...receiver, levels: ["critical"] });
    await openAlert(db, { ...alert, key: "mild" });
    await resolveAlert(db, "backlog", "mild");
    await openAlert(db, { ...alert, key: "grows" });
    await openAlert(db, { ...alert, key: "grows", level: "critical" });
    await resolveAlert(db, "backlog", "grows");
    await waitFor(async () => (await events()).every(({ outcome }) => outcome !== null), {
      ...within,
      what: "all to be done",
    });
    expect(receiver.said()).toEqual(["worsened grows", "resolved grows"]);
  });

  test("neither the secret nor the address is in the log or in the database, also when nothing can be reached", async () => {
    const receiver = await openReceiver(() => 0);
    const queue = await startQueue({ url: receiver.url });
    await openAlert(db, alert);
    await waitFor(() => receiver.posts.length >= 3, { ...within, what: "three attempts" });
    await queue.stop();
    const kept = JSON.stringify(await events());
    expect(kept).toContain("the address cannot be reached");
    for (const hidden of [secret, "of-the-address", "hooks/T0"]) {
      expect(kept).not.toContain(hidden);
      expect(queue.log.join("\n")).not.toContain(hidden);
    }
  });
});
