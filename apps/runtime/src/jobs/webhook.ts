/**
 * Alerts, told to an address of the operator's choice. What is to be told stands in the outbox (`data.alert_event`), written in the
 * transaction that opened or resolved the alert; here it is posted, in order for each alert, until the address answers 2xx. So nothing is
 * lost, and an event comes again only when a process died between the answer and the commit: with the same id.
 */
import { createHmac } from "node:crypto";
import { type AlertEvent, type Db, type Delivery, deliverNext, findDueAlerts, findNextAttempt } from "@drawdown/db";
import type { TaskList } from "graphile-worker";
import type { Config } from "../config.ts";

export type WebhookSettings = {
  /** Undefined: nobody is told. */
  url: string | undefined;
  /** Undefined: posts are not signed. */
  secret: string | undefined;
  levels: readonly string[];
  /** After the first failure; doubles. */
  retryFirstMs: number;
  retryMostMs: number;
  /** How long the address may take to answer. */
  timeoutMs: number;
};

/** As the environment has them. */
export function webhookSettings(alerts: Config["alerts"]): WebhookSettings {
  const { webhookUrl: url, webhookSecret: secret, levels } = alerts;
  return { ...defaultWebhookSettings, url, secret, levels };
}

export const defaultWebhookSettings = { retryFirstMs: 2_000, retryMostMs: 300_000, timeoutMs: 10_000 };

/** The name that the trigger on `data.alert` adds jobs under. */
const POST_JOB = "post_alert";
const NEXT_KEY = "post_alert:next";

/**
 * The task of the queue. One at a time in a process: it posts whatever is due, so that an address that does not answer never takes
 * more than one place in the queue.
 */
export function webhookTask(db: Db, settings: WebhookSettings, signal: AbortSignal): TaskList {
  let posting = false;
  let again = false;
  return {
    [POST_JOB]: async (_payload, { addJob }) => {
      again = true;
      if (posting) return;
      posting = true;
      try {
        while (again && !signal.aborted) {
          again = false;
          await postDue(db, settings, signal);
          const next = await findNextAttempt(db);
          // Never at once: another worker may be at it, or the address be down for all that is due.
          const soonest = Date.now() + settings.retryFirstMs;
          if (next !== undefined)
            await addJob(POST_JOB, {}, { jobKey: NEXT_KEY, runAt: new Date(Math.max(next.getTime(), soonest)) });
        }
      } catch (error) {
        // Told to stop, it leaves what is due to another worker's beat.
        if (!signal.aborted) throw error;
      } finally {
        posting = false;
      }
    },
  };
}

/** Adds a job when something is due: its worker may have been killed, or there was no queue when the alert opened. */
export async function wakeWebhook(db: Db): Promise<void> {
  if ((await findDueAlerts(db, 1)).length === 0) return;
  await db.$client.query("SELECT graphile_worker.add_job($1, job_key := $2)", [POST_JOB, NEXT_KEY]);
}

/** For a worker's queue and for who stands in for it. Posts what is due, alert by alert, up to the first failure that every other event would meet too. */
export async function postDue(db: Db, settings: WebhookSettings, signal: AbortSignal): Promise<void> {
  for (const alertId of await findDueAlerts(db)) {
    let unreachable = false;
    const deliver = async (event: AlertEvent): Promise<Delivery> => {
      if (settings.url === undefined || !settings.levels.includes(event.level)) return { outcome: "skipped" };
      const failure = await post(settings.url, event, settings, signal);
      if (failure === undefined) return { outcome: "posted" };
      unreachable = failure.unreachable;
      return retryOf(event, failure.error, settings);
    };
    for (let more = true; more && !signal.aborted; ) {
      const delivery = await deliverNext(db, alertId, deliver);
      more = delivery !== undefined && "outcome" in delivery;
    }
    if (unreachable || signal.aborted) return;
  }
}

function retryOf({ attempts }: AlertEvent, error: string, settings: WebhookSettings): Delivery {
  return { retryInMs: Math.min(settings.retryFirstMs * 2 ** Math.min(attempts, 30), settings.retryMostMs), error };
}

type Failure = { error: string /** Another event would fare no better now. */; unreachable: boolean };

/** Undefined when it was taken. Throws only when this process is told to stop: then the event stays as it is. */
async function post(
  url: string,
  event: AlertEvent,
  settings: WebhookSettings,
  signal: AbortSignal,
): Promise<Failure | undefined> {
  const body = JSON.stringify(bodyOf(event));
  const tooLong = AbortSignal.timeout(settings.timeoutMs);
  try {
    const response = await fetch(url, {
      method: "POST",
      // Somewhere else nobody asked for it, and the signature is no proof for whom it was meant.
      redirect: "manual",
      headers: headersOf(event, body, settings.secret),
      body,
      signal: AbortSignal.any([signal, tooLong]),
    });
    await response.body?.cancel();
    if (response.ok) return undefined;
    const unreachable = response.status >= 500 || response.status === 429;
    return { error: `the address answered ${response.status}`, unreachable };
  } catch (error) {
    if (signal.aborted) throw error;
    // Never what the client says: it may name the address, which can be a secret.
    const why = tooLong.aborted ? `no answer within ${settings.timeoutMs} ms` : codeOf(error);
    return { error: `the address cannot be reached: ${why}`, unreachable: true };
  }
}

function codeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error ? (cause as NodeJS.ErrnoException).code : undefined;
  return code ?? "connection failed";
}

function bodyOf({ id, event, level, createdAt, alert }: AlertEvent) {
  return {
    id,
    event,
    at: createdAt,
    alert: {
      id: alert.id,
      kind: alert.kind,
      key: alert.key,
      level,
      message: alert.message,
      details: alert.details,
      opened_at: alert.openedAt,
      resolved_at: alert.resolvedAt,
    },
  };
}

/**
 * `x-drawdown-signature` is `sha256=` and the hex HMAC-SHA256 of `<timestamp>.<body>` under the secret, with the timestamp of
 * `x-drawdown-timestamp`, in seconds: a receiver refuses what is older than some minutes, and ids it has seen.
 */
function headersOf(event: AlertEvent, body: string, secret: string | undefined): Record<string, string> {
  const timestamp = String(Math.floor(Date.now() / 1_000));
  return {
    "content-type": "application/json",
    "user-agent": "drawdown",
    "x-drawdown-event-id": event.id,
    "x-drawdown-timestamp": timestamp,
    ...(secret === undefined ? {} : { "x-drawdown-signature": `sha256=${sign(secret, timestamp, body)}` }),
  };
}

function sign(secret: string, timestamp: string, body: string): string {
  return createHmac("sha256", secret).update(`${timestamp}.${body}`).digest("hex");
}
