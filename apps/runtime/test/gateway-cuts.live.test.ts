import { request } from "node:http";
import { parseUnits } from "@drawdown/billing";
import { waitFor } from "@drawdown/local-stack";
import { expect, it } from "vitest";
import { balanceOf, openStage, type Stage } from "./stage.ts";

const streams = 500;
const atOnce = 40;
/** Longer than any of these streams: nearly every cut falls into one. */
const longestCut = 4_000;
/** Less than what comes of a stream that stalls, its head included. */
const shortestStall = 900;

/** The same numbers each time: a failure can be run again. */
function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x80000000;
  };
}

const random = sequence(20_261_122);
const upTo = (most: number) => Math.floor(random() * (most + 1));

/** What a provider does, and what that must come to in the books whatever the client does. No source: nothing was given. */
const behaviours: { wish: string; source: string | undefined }[] = [
  { wish: "pace=2", source: "provider" },
  { wish: "slow=20", source: "provider" },
  { wish: "tokens=60", source: "provider" },
  { wish: "no-usage, pace=1", source: "estimated" },
  { wish: "zero-usage", source: "provider" },
  { wish: "cut=4", source: "partial" },
  { wish: "fail=3, pace=2", source: "partial" },
  { wish: "stall=6, tokens=30", source: "partial" },
  { wish: "cut=0", source: undefined },
  { wish: "status=500", source: undefined },
];

const bodies: Record<string, (content: string) => object> = {
  "/v1/chat/completions": (content) => ({ model: "gpt-4o", messages: [{ role: "user", content }] }),
  "/v1/responses": (input) => ({ model: "gpt-4o", input }),
  "/v1/messages": (content) => ({
    model: "claude-sonnet-4-6",
    max_tokens: 100,
    messages: [{ role: "user", content }],
  }),
};
const paths = Object.keys(bodies);

type Cut = { id: string; path: string; wish: string; source: string | undefined; after: number };

function planned(index: number): Cut {
  const { wish, source } = behaviours[index % behaviours.length] ?? { wish: "", source: undefined };
  const path = paths[index % paths.length] ?? "";
  // Whoever waits for a provider that says nothing more waits for long.
  const after = upTo(wish.startsWith("stall") ? shortestStall : longestCut);
  return { id: `cut-${index}`, path, wish, source, after };
}

/** Sends a request and hangs up after so many bytes of its answer, its head included; resolves when the connection is gone. */
async function sendAndCut(stage: Stage, cut: Cut): Promise<"cut" | "whole"> {
  const body = JSON.stringify({ ...bodies[cut.path]?.(`[upstream: ${cut.wish}] cut me`), stream: true });
  return await new Promise((resolve) => {
    const sent = request(stage.gatewayUrl + cut.path, {
      method: "POST",
      agent: false,
      headers: {
        authorization: `Bearer ${stage.user1.api_key}`,
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
        "idempotency-key": cut.id,
      },
    });
    let whole = false;
    sent.on("error", () => undefined);
    sent.on("close", () => resolve(whole ? "whole" : "cut"));
    sent.on("response", (response) => {
      response.on("error", () => undefined);
      response.on("end", () => (whole = true));
      response.resume();
    });
    sent.on("socket", (socket) => {
      let seen = 0;
      socket.on("data", (bytes: Buffer) => {
        seen += bytes.length;
        if (seen > cut.after) socket.destroy();
      });
    });
    sent.end(body);
  });
}

type Row = { request_id: string; usage_source: string; cost: string };

it("2, 4: of 500 streams cut by their clients at any byte each is charged once by what came, or not at all, and nothing stays held", async () => {
  const stage = await openStage({ ANTHROPIC_API_KEY: "any", DRAIN_SECONDS: "2" });
  try {
    const before = parseUnits((await balanceOf(stage, stage.user1)).balance);
    const cuts = Array.from({ length: streams }, (_, index) => planned(index));
    const ends: string[] = [];
    let next = 0;
    const lane = async (): Promise<void> => {
      for (let cut = cuts[next++]; cut !== undefined; cut = cuts[next++]) ends.push(await sendAndCut(stage, cut));
    };
    await Promise.all(Array.from({ length: atOnce }, lane));
    expect(ends.filter((end) => end === "cut").length).toBeGreaterThan(streams / 4);

    const expected = cuts.filter(({ source }) => source !== undefined);
    const rows = async () =>
      (
        await stage.db.$client.query<Row>(
          "SELECT request_id, usage_source, cost FROM data.usage_log WHERE settled_at IS NOT NULL AND virtual_key = $1",
          [stage.user1.virtual_key],
        )
      ).rows;
    await waitFor(async () => (await rows()).length >= expected.length, {
      timeoutMs: 60_000,
      what: `${expected.length} rows`,
    });
    await expect.poll(async () => (await balanceOf(stage, stage.user1)).held, { timeout: 40_000 }).toBe("0.000000000");
    const found = await rows();
    const sourceOf = new Map(found.map((row) => [row.request_id, row.usage_source]));
    expect(found).toHaveLength(expected.length);
    for (const { id, wish, path, source } of cuts) expect([path, wish, sourceOf.get(id)]).toEqual([path, wish, source]);
    const drawn = found.reduce((sum, row) => sum + parseUnits(row.cost), 0n);
    expect(parseUnits((await balanceOf(stage, stage.user1)).balance)).toBe(before - drawn);
    const { rows: uncaptured } = await stage.db.$client.query("SELECT FROM data.uncaptured_hold");
    expect(uncaptured).toEqual([]);
    expect(stage.gateway.stderr()).not.toContain("delivered and not charged");
  } finally {
    await stage.stop();
  }
}, 150_000);
