/**
 * OpenAI's responses. The last event carries the whole response with its usage. An answer that is made in the background is not served:
 * it could be fetched without being charged.
 */
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
  input: z.union([z.string(), z.array(z.unknown())]).nullish(),
  max_output_tokens: tokenLimit,
  background: z.literal(false, "is not served here: an answer is charged when it is given").nullish(),
});

export const responses: Surface = {
  path: "/responses",
  shapes: ["openai"],
  body,
  keyHeaders: bearer,
  added: () => ({}),
  hidesUsage: () => false,
  prompt: ["instructions", "input", "prompt", "tools", "text"],
  outputLimit: (asked) => largest(asked["max_output_tokens"]),
  answers: () => 1,
  readPlain: (answer) => ({ usage: answer["usage"], output: answer["output"] }),
  namesEvents: true,
  readEvent,
};

/** The ends of a response, good or bad: each carries all that it used. */
const ends = new Set(["response.completed", "response.incomplete", "response.failed", "response.cancelled"]);

function readEvent(reading: Reading, event: Fields): EventKind {
  const type = event["type"];
  if (typeof type !== "string") return "other";
  if (type.endsWith(".delta")) takeText(reading, event["delta"]);
  if (!ends.has(type)) return "other";
  const response = isFields(event["response"]) ? event["response"] : {};
  const said = takeUsage(reading, response["usage"]);
  // A response that failed without a word of what it used is one that broke off.
  if (said || type === "response.completed" || type === "response.incomplete") reading.ended = true;
  return "end";
}
