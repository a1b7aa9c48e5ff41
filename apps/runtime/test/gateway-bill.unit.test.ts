import { describe, expect, it } from "vitest";
import { chargeFor, nothingGiven } from "../src/gateway/bill.ts";
import { chat } from "../src/gateway/surfaces/chat.ts";
import { messages } from "../src/gateway/surfaces/messages.ts";
import { responses } from "../src/gateway/surfaces/responses.ts";
import { emptyReading, type Fields, type Surface } from "../src/gateway/surfaces/surface.ts";
import { pricedCall } from "./priced-call.ts";

const surfaces = { chat, responses, messages };

/** What a stream of these events comes to: nothing, or its source with tokens in and out. */
async function billed(name: keyof typeof surfaces, events: Fields[], asked: Fields = {}): Promise<string> {
  const surface: Surface = surfaces[name];
  const prompt = name === "responses" ? { input: "hello" } : { messages: [{ content: "hello" }] };
  const call = pricedCall(surface, "openai", { model: "gpt-4o", ...prompt, ...asked });
  const reading = emptyReading();
  for (const event of events) surface.readEvent(reading, event, call.body.json);
  if (nothingGiven(reading)) return "nothing";
  const { usageSource, inputTokens, outputTokens } = await chargeFor(call, reading);
  return `${usageSource} ${inputTokens} ${outputTokens}`;
}

const say = (content: string, index = 0, more: object = {}) => ({ choices: [{ index, delta: { content }, ...more }] });
const finish = (index = 0) => say("", index, { finish_reason: "stop" });
const usage = { prompt_tokens: 7, completion_tokens: 9 };
const six = "one two three four five six";

describe("4: a chat stream is charged by what came", () => {
  it.each<[string, Fields[], Fields, string]>([
    ["whole, with usage at the end", [say(six), finish(), { choices: [], usage }], {}, "provider 7 9"],
    ["whole by its usage alone", [say(six), { choices: [], usage }], {}, "provider 7 9"],
    ["whole, without usage", [say(six), finish()], {}, "estimated 5 6"],
    ["broken off", [say(six)], {}, "partial 5 6"],
    [
      "broken off, with usage so far in each chunk",
      [{ ...say(six), usage: { ...usage, completion_tokens: 2 } }],
      {},
      "partial 7 6",
    ],
    ["one of two answers whole, the other broken off", [say(six), finish(), say(six, 1)], { n: 2 }, "partial 5 12"],
    ["both of two answers whole", [say(six), say(six, 1), finish(1), finish()], { n: 2 }, "estimated 5 12"],
    ["broken off after the role", [say("")], {}, "nothing"],
    ["an error alone", [{ error: { message: "overloaded" } }], {}, "nothing"],
    ["usage that cannot be", [say(six), finish(), { choices: [], usage: { prompt_tokens: -1 } }], {}, "estimated 5 6"],
    [
      "usage of zero",
      [say(six), finish(), { choices: [], usage: { prompt_tokens: 0, completion_tokens: 0 } }],
      {},
      "provider 0 0",
    ],
    [
      "reasoning and refusal are output",
      [{ choices: [{ delta: { reasoning_content: six, refusal: "no" } }] }],
      {},
      "partial 5 7",
    ],
  ])("%s", async (_, events, asked, expected) => {
    expect(await billed("chat", events, asked)).toBe(expected);
  });
});

it("6: of a chat stream no more ends are kept than answers were asked for, whatever its provider numbers them by", () => {
  const reading = emptyReading();
  for (let index = 0; index < 1_000; index += 1) chat.readEvent(reading, finish(index), { n: 2 });
  expect(reading).toMatchObject({ ended: true, finished: new Set([0, 1]) });
  const odd = emptyReading();
  const index = { of: "x".repeat(1_000) };
  chat.readEvent(odd, { choices: [{ index, delta: {}, finish_reason: "stop" }] }, {});
  expect(odd).toMatchObject({ ended: true, finished: new Set([0]) });
});

describe("4: a response is charged by what came", () => {
  const delta = { type: "response.output_text.delta", delta: six };
  const ended = (type: string, said: object = {}) => ({ type, response: { output: [], ...said } });
  const counted = { usage: { input_tokens: 7, output_tokens: 9 } };
  it.each<[string, Fields[], string]>([
    ["completed", [delta, ended("response.completed", counted)], "provider 7 9"],
    ["incomplete", [delta, ended("response.incomplete", counted)], "provider 7 9"],
    ["completed without usage", [delta, ended("response.completed")], "estimated 1 6"],
    ["failed with usage", [delta, ended("response.failed", counted)], "provider 7 9"],
    ["failed without usage", [delta, ended("response.failed")], "partial 1 6"],
    ["failed before a word", [ended("response.created"), ended("response.failed")], "nothing"],
    [
      "broken off in a tool's arguments",
      [{ type: "response.function_call_arguments.delta", delta: six }],
      "partial 1 6",
    ],
  ])("%s", async (_, events, expected) => {
    expect(await billed("responses", events)).toBe(expected);
  });
});

describe("4: a message is charged by what came", () => {
  const start = {
    type: "message_start",
    message: { usage: { input_tokens: 4, cache_read_input_tokens: 3, output_tokens: 1 } },
  };
  const delta = { type: "content_block_delta", delta: { type: "text_delta", text: six } };
  const end = (said: object = {}) => ({ type: "message_delta", delta: { stop_reason: "end_turn" }, ...said });
  const stop = { type: "message_stop" };
  it.each<[string, Fields[], string]>([
    ["whole: both parts of its usage", [start, delta, end({ usage: { output_tokens: 9 } }), stop], "provider 7 9"],
    ["whole, its end mark lost", [start, delta, end({ usage: { output_tokens: 9 } })], "provider 7 9"],
    [
      "whole, without the second part: the first says the input, not the output",
      [start, delta, end(), stop],
      "estimated 7 6",
    ],
    ["whole, without any usage", [delta, end(), stop], "estimated 5 6"],
    ["broken off", [start, delta], "partial 7 6"],
    ["broken off before a word", [start], "nothing"],
    [
      "thinking is output, its signature is not",
      [
        start,
        { type: "content_block_delta", delta: { type: "thinking_delta", thinking: six } },
        { type: "content_block_delta", delta: { type: "signature_delta", signature: "A".repeat(400) } },
      ],
      "partial 7 6",
    ],
  ])("%s", async (_, events, expected) => {
    expect(await billed("messages", events)).toBe(expected);
  });
});
