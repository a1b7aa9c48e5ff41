// What a request costs a gateway in memory while its provider has not answered: more and more of them are held open, and the slope is what
// each adds. Garbage is collected before each look, so that it is what they keep and not what they have left behind.
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "@drawdown/local-stack";
import { request } from "undici";
import { type Asking, ask, startGateway, withProvider } from "./growth-gateways.ts";

const HELD = [1_000, 4_000];
const OPENED_AT_ONCE = 100;

/** Bytes, by what they are counted as. */
type Memory = { heap: number; buffers: number; resident: number };
export type HeldRequest = Memory & { answer: string };

/** Bytes that each request under way adds. */
export async function weighRequests(): Promise<HeldRequest[]> {
  const found: HeldRequest[] = [];
  for (const [answer, wish] of [
    ["whole", "hang"],
    ["streamed", "stall=1"],
  ] as const)
    found.push({ answer, ...(await withProvider((stack, asking, upstream) => weigh(stack, asking, upstream, wish))) });
  return found;
}

type Provided = Parameters<Parameters<typeof withProvider>[0]>;

async function weigh(stack: Provided[0], asking: Asking, upstream: string, wish: string): Promise<Memory> {
  const inspectorPort = await freePort();
  stack.env["NODE_OPTIONS"] = `--inspect=127.0.0.1:${inspectorPort}`;
  const url = await startGateway(stack);
  const inspector = await openInspector(inspectorPort);
  const looks: Memory[] = [];
  let held = 0;
  for (const wanted of HELD) {
    for (; held < wanted; held += OPENED_AT_ONCE) {
      // Their answers come when the stage is gone, and are errors.
      for (let i = 0; i < OPENED_AT_ONCE; i += 1) ask(url, asking, wish, wish !== "hang").catch(() => {});
      await untilReceived(upstream, held + OPENED_AT_ONCE);
    }
    looks.push(await look(inspector));
  }
  inspector.close();
  const each = (of: keyof Memory) =>
    ((looks[1]?.[of] ?? 0) - (looks[0]?.[of] ?? 0)) / ((HELD[1] ?? 0) - (HELD[0] ?? 0));
  return { heap: each("heap"), buffers: each("buffers"), resident: each("resident") };
}

async function untilReceived(upstream: string, wanted: number): Promise<void> {
  for (;;) {
    const answer = await request(`${upstream}/requests`);
    const { count } = (await answer.body.json()) as { count: number };
    if (count >= wanted) return;
    await sleep(20);
  }
}

async function openInspector(port: number): Promise<WebSocket> {
  const answer = await request(`http://127.0.0.1:${port}/json/list`);
  const [target] = (await answer.body.json()) as { webSocketDebuggerUrl: string }[];
  const socket = new WebSocket(target?.webSocketDebuggerUrl ?? "");
  await once(socket, "open");
  return socket;
}

let calls = 0;

async function call(socket: WebSocket, method: string, params = {}): Promise<{ result?: { value?: unknown } }> {
  const id = (calls += 1);
  const answered = Promise.withResolvers<{ result?: { value?: unknown } }>();
  const listen = ({ data }: MessageEvent) => {
    const message = JSON.parse(String(data)) as { id?: number; result?: { result?: { value?: unknown } } };
    if (message.id === id) answered.resolve(message.result ?? {});
  };
  socket.addEventListener("message", listen);
  socket.send(JSON.stringify({ id, method, params }));
  try {
    return await answered.promise;
  } finally {
    socket.removeEventListener("message", listen);
  }
}

async function look(socket: WebSocket): Promise<Memory> {
  for (let i = 0; i < 2; i += 1) await call(socket, "HeapProfiler.collectGarbage");
  const said = await call(socket, "Runtime.evaluate", {
    expression: "JSON.stringify(process.memoryUsage())",
    returnByValue: true,
  });
  const { heapUsed, external, rss } = JSON.parse(String(said.result?.value)) as NodeJS.MemoryUsage;
  return { heap: heapUsed, buffers: external, resident: rss };
}
