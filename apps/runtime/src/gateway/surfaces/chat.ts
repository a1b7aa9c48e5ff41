/** OpenAI's chat completions, which most providers speak, Anthropic too. */
import { z } from "zod";
import {
  bearer,
  type EventKind,
  type Fields,
  isFields,
  largest,
  proxiedBody,
  type Reading,
  type Surface,
  takeText,
  takeUsage,
  tokenLimit,
} from "./surface.ts";

const body = proxiedBody.extend({
  messages: z.array(z.looseObject({ role: z.string() })).min(1),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  max_tokens: tokenLimit,
  max_completion_tokens: tokenLimit,
  n: z.number().int().min(1).max(128).nullish(),
});

/** `max_completion_tokens` counts reasoning; the largest of both bounds either meaning. */
export const chat: Surface = {
  path: "/chat/completions",
  shapes: ["openai", "anthropic"],
  body,
  keyHeaders: bearer,
  added: (asked) =>
    asked["stream"] === true ? { stream_options: { ...streamOptions(asked), include_usage: true } } : {},
  hidesUsage: (asked) => streamOptions(asked)["include_usage"] !== true,
  prompt: ["messages", "tools", "functions", "response_format"],
  outputLimit: (asked) => largest(asked["max_completion_tokens"], asked["max_tokens"]),
  answers,
  readPlain: (answer) => ({
    usage: answer["usage"],
    output: choicesOf(answer).map((choice) => choice["message"] ?? choice["text"]),
  }),
  namesEvents: false,
  readEvent,
};

function readEvent(reading: Reading, chunk: Fields, asked: Fields): EventKind {
  const choices = choicesOf(chunk);
  for (const choice of choices) {
    takeText(reading, choice["delta"]);
    if (choice["finish_reason"] != null && !reading.ended) reading.finished.add(indexOf(choice));
    if (reading.finished.size >= answers(asked)) reading.ended = true;
  }
  if (!takeUsage(reading, chunk["usage"])) return "other";
  // Providers that put usage beside the last text are passed on whole.
  if (choices.length > 0) return "other";
  reading.ended = true;
  return "usage";
}

function indexOf(choice: Fields): number {
  return typeof choice["index"] === "number" ? choice["index"] : 0;
}

function answers(asked: Fields): number {
  return typeof asked["n"] === "number" ? asked["n"] : 1;
}

function choicesOf(answer: Fields): Fields[] {
  const choices = answer["choices"];
  return Array.isArray(choices) ? choices.filter(isFields) : [];
}

function streamOptions(asked: Fields): Fields {
  return isFields(asked["stream_options"]) ? asked["stream_options"] : {};
}
