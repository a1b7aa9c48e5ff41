import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Agent } from "undici";
import { afterEach, describe, expect, it } from "vitest";
import { AnswerTaking, CallEnd, type ProviderAnswer } from "../src/gateway/answer.ts";

const opened: { agent: Agent; server: Server }[] = [];
afterEach(async () => {
  for (const { agent, server } of opened.splice(0)) {
    await agent.destroy();
    server.closeAllConnections();
    server.close();
  }
});

type Taken = { answer: Promise<ProviderAnswer>; end: CallEnd; heads: () => number };

/** Asks a provider that answers like this. */
async function take(answers: RequestListener, end = new CallEnd()): Promise<Taken> {
  const server = createServer(answers).listen(0, "127.0.0.1");
  await once(server, "listening");
  const agent = new Agent();
  opened.push({ agent, server });
  let heads = 0;
  const taking = new AnswerTaking(end, () => (heads += 1));
  taking.answer.catch(() => undefined);
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  agent.dispatch({ origin, path: "/", method: "POST", body: "{}" }, taking);
  return { answer: taking.answer, end, heads: () => heads };
}

const events = { "content-type": "text/event-stream; charset=utf-8" };

async function bytesOf(taken: Taken) {
  const answer = await taken.answer;
  if (answer.events !== undefined) throw new Error("this is a stream of events");
  return answer.bytes;
}

async function eventsOf(taken: Taken) {
  const answer = await taken.answer;
  if (answer.events === undefined) throw new Error("this is no stream of events");
  return answer.events;
}

describe("a plain answer", () => {
  it("is all that came, in its order, after heads that only say that it comes", async () => {
    const taken = await take((_, response) => {
      response.writeEarlyHints({ link: "</a>; rel=preload" });
      response.writeHead(201, { "x-a": "b" });
      response.write("one ");
      setImmediate(() => response.end("two"));
    });
    expect(await taken.answer).toMatchObject({ statusCode: 201, headers: { "x-a": "b" } });
    expect(String(await bytesOf(taken))).toBe("one two");
    expect(taken.heads()).toBe(1);
  });

  it("that has no body is empty, and an error is plain whatever it calls itself", async () => {
    expect(await bytesOf(await take((_, response) => response.end()))).toEqual(Buffer.alloc(0));
    const failed = await take((_, response) => response.writeHead(503, events).end("data: no\n\n"));
    expect(String(await bytesOf(failed))).toBe("data: no\n\n");
  });

  it("that breaks off, or never begins, is none", async () => {
    const cut = await take((_, response) => {
      response.writeHead(200, { "content-length": 10 });
      response.write("half", () => response.destroy());
    });
    await expect(cut.answer).rejects.toThrow();
    const silent = await take((_, response) => response.destroy());
    await expect(silent.answer).rejects.toThrow();
    expect([cut.heads(), silent.heads()]).toEqual([1, 1]);
  });

  it("that is larger than can be held is given up, whether or not it says its length", async () => {
    const piece = Buffer.alloc(1024 * 1024);
    const taken = await take((_, response) => {
      const more = () => {
        while (!response.destroyed && response.write(piece));
      };
      response.on("drain", more);
      more();
    });
    await expect(taken.answer).rejects.toThrow(/more than 67108864 bytes/);
  });
});

describe("the end of a call", () => {
  it("ends it under way, before its head and after, and before it begins", async () => {
    const hanging = await take(() => undefined);
    setImmediate(() => hanging.end.end());
    await expect(hanging.answer).rejects.toThrow();
    const halted = await take((_, response) => response.writeHead(200, events).write("data: 1\n\n"));
    const stream = await eventsOf(halted);
    halted.end.end();
    await expect(stream.toArray()).rejects.toThrow();
    const before = new CallEnd();
    before.end();
    await expect((await take(() => undefined, before)).answer).rejects.toThrow();
  });
});

describe("a stream of events", () => {
  it("comes as it is sent, and throws where its provider breaks off", async () => {
    const whole = await take((_, response) => response.writeHead(200, events).end("data: 1\n\ndata: 2\n\n"));
    expect(String(Buffer.concat(await (await eventsOf(whole)).toArray()))).toBe("data: 1\n\ndata: 2\n\n");
    const cut = await take((_, response) =>
      response.writeHead(200, events).write("data: 1\n\n", () => response.destroy()),
    );
    await expect((await eventsOf(cut)).toArray()).rejects.toThrow();
  });

  it("is read no faster than whoever reads it, and to its end", async () => {
    const total = 32 * 1024 * 1024;
    const piece = Buffer.alloc(64 * 1024, "a");
    let sent = 0;
    const stuck = Promise.withResolvers<void>();
    const taken = await take((_, response) => {
      response.writeHead(200, events);
      const more = () => {
        while (sent < total) {
          sent += piece.length;
          if (!response.write(piece)) return setImmediate(() => stuck.resolve());
        }
        return response.end();
      };
      response.on("drain", more);
      more();
    });
    const stream = await eventsOf(taken);
    await stuck.promise;
    // What the two sockets and the stream itself have room for, and no more, however long nobody reads.
    let before = -1;
    while (before !== sent) {
      before = sent;
      for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(sent).toBeLessThan(total);
    let bytes = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) bytes += chunk.length;
    expect(bytes).toBe(total);
  });

  it("that is not read to its end ends the call", async () => {
    const left = Promise.withResolvers<undefined>();
    const taken = await take((_, response) => {
      response.once("close", () => left.resolve(undefined));
      response.writeHead(200, events).write("data: 1\n\n");
    });
    for await (const _ of await eventsOf(taken)) break;
    await expect(left.promise).resolves.toBeUndefined();
  });
});
