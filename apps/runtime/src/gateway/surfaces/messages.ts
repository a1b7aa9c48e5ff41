/** Anthropic's messages. Usage comes in two parts: what was read at the start, what was written at the end. */
import { z } from "zod";
import {
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
  max_tokens: tokenLimit,
});

export const messages: Surface = {
  path: "/messages",
  shapes: ["anthropic"],
  body,
  keyHeaders: (key) => ({ "x-api-key": key }),
  defaultHeaders: { "anthropic-version": "2023-06-01" },
  added: () => ({}),
  hidesUsage: () => false,
  prompt: ["system", "messages", "tools"],
  outputLimit: (asked) => largest(asked["max_tokens"]),
  answers: () => 1,
  readPlain: (answer) => ({ usage: answer["usage"], output: answer["content"] }),
  namesEvents: true,
  readEvent,
};

function readEvent(reading: Reading, event: Fields): EventKind {
  switch (event["type"]) {
    case "message_start":
      if (isFields(event["message"])) takeUsage(reading, event["message"]["usage"], false);
      return "other";
    case "content_block_start":
      takeText(reading, event["content_block"]);
      return "other";
    case "content_block_delta":
      takeText(reading, event["delta"]);
      return "other";
    case "message_delta":
      takeUsage(reading, event["usage"]);
      // Only the last one has a reason; what follows it is the end mark.
      if (isFields(event["delta"]) && event["delta"]["stop_reason"] != null) reading.ended = true;
      return "other";
    case "message_stop":
      reading.ended = true;
      return "end";
    default:
      return "other";
  }
}
