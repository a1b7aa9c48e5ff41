// What billing costs a proxied call: the gateway against a plain proxy in front of the same upstream.
import { once } from "node:events";
import { freePort } from "@drawdown/local-stack";
import { Agent, request } from "undici";
import { type Family, judge, type Row, tell } from "./rows.ts";
import { openStack, type Stack, untilReady } from "./stack.ts";
import { alternate, median, percentile } from "./statistics.ts";

const rounds = 5;
const roundMs = 3_000;
/** So many that no core is idle while requests wait for the disk (at 32 a fifth of the two cores was); and so few that nobody waits for another. */
const lanes = { busy: 128, calm: 2 };

type Round = { perSecond: number; p50: number; p99: number };

export const gateway: Family = {
  rows: ["gateway_vs_proxy"],
  measure: async () => {
    const stack = await openStack();
    try {
      return await measure(await openSides(stack));
    } finally {
      await stack.stop();
    }
  },
};

type Sides = { plain: string; gateway: string; apiKey: string };

/** Upstream, worker and gateway, and the plain proxy beside it. */
async function openSides(stack: Stack): Promise<Sides> {
  const upstreamPort = await freePort();
  const upstream = `http://127.0.0.1:${upstreamPort}`;
  stack.env.OPENAI_API_KEY = "bench";
  const seeded = JSON.parse(await stack.drawdown("seed", "--json", "--upstream", upstream)) as {
    keys: { api_key: string }[];
  };
  stack.startDrawdown("upstream", "--port", String(upstreamPort));
  stack.startDrawdown("worker");
  stack.startDrawdown("gateway");
  const gatewayUrl = `http://127.0.0.1:${stack.env.GATEWAY_PORT}`;
  await Promise.all([untilReady(upstream), untilReady(gatewayUrl)]);
  const plain = stack.start("./plain-proxy.ts", [upstream]);
  const [line] = (await once(plain.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
  return { plain: line.toString().trim(), gateway: gatewayUrl, apiKey: seeded.keys[0]?.api_key ?? "" };
}

const body = JSON.stringify({
  model: "gpt-4o-mini",
  max_tokens: 100,
  messages: [{ role: "user", content: `[upstream: tokens=20] ${"A question of some length. ".repeat(20)}` }],
});

/** Asks from so many lanes for a round. Latencies in milliseconds. */
async function ask(url: string, apiKey: string, concurrency: number): Promise<Round> {
  const dispatcher = new Agent({ connections: concurrency });
  const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json" };
  const taken: number[] = [];
  const startedAt = performance.now();
  const lane = async () => {
    while (performance.now() - startedAt < roundMs) {
      const at = performance.now();
      const answer = await request(`${url}/v1/chat/completions`, { method: "POST", dispatcher, headers, body });
      const text = await answer.body.text();
      if (answer.statusCode !== 200) throw new Error(`${url} answered ${answer.statusCode}: ${text}`);
      taken.push(performance.now() - at);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  const perSecond = (taken.length * 1_000) / (performance.now() - startedAt);
  await dispatcher.close();
  return { perSecond, p50: percentile(taken, 0.5), p99: percentile(taken, 0.99) };
}

async function measure({ plain, gateway: billed, apiKey }: Sides): Promise<Row[]> {
  // Until what runs is compiled: a round beside the one that never counts.
  for (const side of [plain, billed]) await ask(side, apiKey, lanes.busy);
  const found = await alternate(rounds, {
    busyPlain: () => ask(plain, apiKey, lanes.busy),
    busyBilled: () => ask(billed, apiKey, lanes.busy),
    calmPlain: () => ask(plain, apiKey, lanes.calm),
    calmBilled: () => ask(billed, apiKey, lanes.calm),
  });
  const of = (side: keyof typeof found, what: keyof Round) => median(found[side].map((one) => one[what]));
  const opponent = of("busyPlain", "perSecond");
  const added = (what: "p50" | "p99"): Row =>
    tell(
      `gateway_added_${what}_ms`,
      of("calmBilled", what) - of("calmPlain", what),
      `${of("calmPlain", what).toFixed(2)} ms through the plain proxy, ${lanes.calm} at a time`,
    );
  return [
    judge(
      "gateway_vs_proxy",
      of("busyBilled", "perSecond") / opponent,
      `${opponent.toFixed(0)} requests/s through a plain Fastify proxy`,
      { least: 0.7 },
    ),
    added("p50"),
    added("p99"),
  ];
}
