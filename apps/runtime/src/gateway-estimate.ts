/**
 * What a request can cost at most, before it is sent, and how much text is how many tokens when a provider does not say. Four bytes are
 * a token: close for English prose and code, high for scripts of three bytes a letter.
 */
import { costOf, type Price } from "@drawdown/billing";
import type { Body } from "./gateway-body.ts";
import type { ChatBody } from "./gateway-chat.ts";

const bytesPerToken = 4;
/** Role and separators around each message. */
const tokensPerMessage = 4;
/** An image or a file that stands in the body as data: its size says nothing of its tokens. */
const tokensPerAttachment = 1_500;
/** What a client that names no limit is taken to want at most. */
const defaultMaxOutputTokens = 4_096;

export type Estimate = {
  inputTokens: number;
  mostNanos: bigint;
};

export function countTokens(bytes: number): number {
  return Math.ceil(bytes / bytesPerToken);
}

/** The prompt's cost plus that of all the output that the client allows, in as many choices as it asks for. */
export function estimateChat(price: Price, body: Body<ChatBody>): Estimate {
  const { json } = body;
  const attachments = { count: 0 };
  const textBytes = sizeOf([json.messages, json["tools"], json["functions"], json["response_format"]], attachments);
  const inputTokens =
    countTokens(textBytes) + json.messages.length * tokensPerMessage + attachments.count * tokensPerAttachment;
  const limit = json.max_completion_tokens ?? json.max_tokens ?? defaultMaxOutputTokens;
  const outputTokens = limit * (json.n ?? 1);
  const { costNanos } = costOf(price, {
    inputTokens,
    outputTokens,
    totalTokens: inputTokens + outputTokens,
    cachedInputTokens: 0,
    cacheWriteTokens: 0,
    reasoningTokens: 0,
  });
  return { inputTokens, mostNanos: costNanos };
}

function sizeOf(value: unknown, attachments: { count: number }): number {
  if (typeof value === "string") {
    if (!value.startsWith("data:")) return Buffer.byteLength(value);
    attachments.count += 1;
    return 0;
  }
  if (typeof value === "number" || typeof value === "boolean") return 4;
  if (typeof value !== "object" || value === null) return 0;
  let size = 0;
  for (const [field, part] of Object.entries(value))
    size += (Array.isArray(value) ? 0 : field.length) + sizeOf(part, attachments);
  return size;
}
