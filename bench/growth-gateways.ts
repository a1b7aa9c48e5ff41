// More and more gateways before the same stores, asked by the same clients: the lanes are divided among them.
import { freePort } from "@drawdown/local-stack";
import { Agent, type Dispatcher, request } from "undici";
import { watched } from "./growth-busy.ts";
import type { Chart } from "./growth-chart.ts";
import { takeTurns } from "./growth-turns.ts";
import { openStack, type Stack, untilReady } from "./stack.ts";
import { inLanes, percentile } from "./statistics.ts";

const GATEWAYS = [1, 2, 4];
const ROUNDS = 5;
const ROUND_MS = 3_000;
const LANES = 64;

export type Asking = { apiKey: string; dispatcher: Dispatcher };

export async function growGateways(): Promise<Chart> {
  return await withProvider(async (stack, asking) => {
    const urls = await Promise.all(Array.from({ length: Math.max(...GATEWAYS) }, () => startGateway(stack)));
    const { figures, busy } = await takeTurns(ROUNDS, GATEWAYS, (gateways) =>
      watched("clients", () => round(urls.slice(0, gateways), asking)),
    );
    const lines = [
      { name: "requests/s", values: figures("perSecond") },
      { name: "p99, ms", values: figures("p99") },
    ];
    return { name: "gateways", grows: "gateways", points: GATEWAYS, lines, busy };
  });
}

export async function withProvider<T>(
  measure: (stack: Stack, asking: Asking, upstream: string) => Promise<T>,
): Promise<T> {
  const stack = await openStack();
  const dispatcher = new Agent();
  try {
    const upstreamPort = await freePort();
    const upstream = `http://127.0.0.1:${upstreamPort}`;
    // Who leaves is not waited for, and that is no news.
    Object.assign(stack.env, { OPENAI_API_KEY: "bench", DRAIN_SECONDS: "0", LOG_LEVEL: "error" });
    const seeded = await stack.drawdown("seed", "--json", "--upstream", upstream);
    const { keys } = JSON.parse(seeded) as { keys: { api_key: string }[] };
    stack.startDrawdown("upstream", "--port", String(upstreamPort));
    stack.startDrawdown("worker");
    await untilReady(upstream);
    return await measure(stack, { apiKey: keys[0]?.api_key ?? "", dispatcher }, upstream);
  } finally {
    await dispatcher.destroy();
    await stack.stop();
  }
}

export async function startGateway(stack: Stack): Promise<string> {
  const port = String(await freePort());
  stack.startDrawdown("gateway", "--port", port);
  const url = `http://127.0.0.1:${port}`;
  await untilReady(url);
  return url;
}

/** Asks for a completion. `wish`: how the provider is to answer. Resolves with the head of the answer. */
export async function ask(url: string, { apiKey, dispatcher }: Asking, wish: string, stream = false) {
  const content = `[upstream: ${wish}] ${"A question of some length. ".repeat(20)}`;
  const answer = await request(`${url}/v1/chat/completions`, {
    method: "POST",
    dispatcher,
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "gpt-4o-mini", max_tokens: 100, stream, messages: [{ role: "user", content }] }),
  });
  if (answer.statusCode !== 200) throw new Error(`${answer.statusCode}: ${await answer.body.text()}`);
  return answer;
}

async function round(urls: readonly string[], asking: Asking) {
  const taken: number[] = [];
  let asked = 0;
  const perSecond = await inLanes(LANES, ROUND_MS, async () => {
    const at = performance.now();
    asked += 1;
    const answer = await ask(urls[asked % urls.length] ?? "", asking, "tokens=20");
    await answer.body.text();
    taken.push(performance.now() - at);
  });
  return { perSecond, p99: percentile(taken, 0.99) };
}
