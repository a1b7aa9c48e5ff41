import { type TestRedis, testRedis } from "@drawdown/local-stack";
import { afterAll, beforeAll, expect, test } from "vitest";
import { listOf } from "../src/fields.ts";
import { FIELDS_DEPTH, foldReplies } from "../src/folded.ts";
import { connectRedis, type RedisClient, redisReady } from "../src/redis.ts";
import { type EntryInHand, readEntries, readStreamReply } from "../src/stream.ts";

const stream = "stream:deductions:3";
const values: (string | Buffer)[][] = [
  ["cost", "1", "model", ""],
  ["", "é\u{1F680}", "a\r\nb", "$3\r\n"],
  ["bytes", Buffer.from([0, 255, 13, 10, 42]), "bytes", "again"],
  ["gone", "soon"],
  ["long", "x".repeat(70_000), "cost", "2"],
  ["too long to fold", "y".repeat(600_000)],
  ["last", "1"],
];

let server: TestRedis;
let redis: RedisClient;
beforeAll(async () => {
  server = await testRedis();
  redis = connectRedis({ redisUrl: server.url });
  foldReplies(redis, FIELDS_DEPTH.xreadgroup);
  await redisReady(redis, 10_000);
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

async function read(from: string): Promise<EntryInHand[]> {
  const reply = await redis.callBuffer("XREADGROUP", "GROUP", "g", "one", "COUNT", 100, "STREAMS", stream, from);
  return readStreamReply((reply as unknown[])[0], new Map([[3, 7n]]));
}

test("Rule 4: a worker has, and a range gives, the bytes of an entry as they are in the stream, also non-ASCII, empty, long and removed ones, on each connection it makes", async () => {
  await redis.xgroup("CREATE", stream, "g", "0", "MKSTREAM");
  const ids = await Promise.all(values.map((fields) => redis.xadd(stream, "*", ...fields)));
  const wanted = values.map((fields) => fields.map((field) => Buffer.from(field as string)));
  const found = await read(">");
  expect(found.map(({ entryId }) => entryId)).toEqual(ids);
  expect(found.map(({ fields }) => [...listOf(fields)])).toEqual(wanted);
  expect(found.map(({ fields }) => Buffer.isBuffer(fields))).toEqual(values.map((_, i) => i !== 5));
  expect(found[0]).toMatchObject({ shard: 3, epoch: 7n, deliveryCount: 1 });

  await redis.xdel(stream, String(ids[3]));
  redis.disconnect(true);
  await new Promise((resolve) => redis.once("ready", resolve));
  const again = await read("0");
  expect(again.map(({ fields }) => [...listOf(fields)])).toEqual(wanted.map((list, i) => (i === 3 ? [] : list)));
  expect(Buffer.isBuffer(again[0]?.fields)).toBe(true);

  const ranging = connectRedis({ redisUrl: server.url });
  foldReplies(ranging, FIELDS_DEPTH.xrange);
  await redisReady(ranging, 10_000);
  const range = readEntries(3, await ranging.callBuffer("XRANGE", stream, "-", "+"));
  ranging.disconnect();
  const there = values.flatMap((_, i) => (i === 3 ? [] : [i]));
  expect(range.map(({ entryId }) => entryId)).toEqual(there.map((i) => ids[i]));
  expect(range.map(({ fields }) => [...listOf(fields)])).toEqual(there.map((i) => wanted[i]));
  expect(range.map(({ fields }) => Buffer.isBuffer(fields))).toEqual(there.map((i) => i !== 5));
});
