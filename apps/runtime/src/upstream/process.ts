/** `drawdown upstream`: the simulated provider as a process of its own. */
import { setTimeout as wait } from "node:timers/promises";
import { collectDefaultMetrics, Registry } from "prom-client";
import { readConfig } from "../config.ts";
import { listen, runForeground } from "../foreground.ts";
import { openLog } from "../log.ts";
import { upstreamServer } from "./server.ts";

/** Answers that are being sent get this long to end by themselves; what waits or hangs is let go at once. */
const drainMs = 3_000;

/** Runs until a signal. Returns the exit code. */
export async function upstreamCommand(options: { port: number }): Promise<number> {
  const config = readConfig([]);
  const log = openLog("upstream", { level: config.logLevel, secrets: config.secrets });
  return await runForeground(log, async (stopping) => {
    const registry = new Registry();
    collectDefaultMetrics({ register: registry });
    const checks = async () => ({ listening: stopping.aborted ? "stopping" : "ok" });
    const app = upstreamServer({ checks, registry }, stopping);
    const where = { host: config.listenHost, port: options.port, what: "the simulated provider", setting: "--port" };
    const address = await listen(app, where);
    log.info({ address }, "ready");
    return {
      stop: async () => {
        const closed = app.close();
        const late = new AbortController();
        await Promise.race([closed, wait(drainMs, undefined, { signal: late.signal }).catch(() => undefined)]);
        late.abort();
        app.server.closeAllConnections();
        await closed;
      },
    };
  });
}
