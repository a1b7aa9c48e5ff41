/**
 * Tokens counted from text: before a call, for how much is set aside; after it, for an answer whose provider did not say what it used.
 * OpenAI's own tokenizer where it is the model's; for others nothing is published, and four bytes are a token: close for English prose
 * and code. What a request may cost at most where no tokenizer fits is another question, answered by `boundInput` of packages/billing.
 */
import { setTimeout as wait } from "node:timers/promises";
import { countTokens, setMergeCacheSize } from "gpt-tokenizer/encoding/o200k_base";
import { isFields, type Reading } from "./surfaces/surface.ts";

const bytesPerToken = 4;
/** Role and separators around each message. */
const tokensPerMessage = 4;
/** A picture or a file that stands in the body as data: its size says little of its tokens. */
const tokensPerAttachment = 1_500;

/**
 * The tokenizer's time grows with the square of a word's length, and a word may be as long as its writer likes. Pieces of this many
 * characters cost at most a token or two more and keep the worst word at 1 MB/s; prose is counted at 10 MB/s.
 */
const pieceLength = 512;
/** What is counted before others get their turn: 3 ms of prose, 30 ms of the worst. */
const turnLength = 32 * 1024;
/** Beyond this, a token per byte for a bound and a quarter for an estimate. */
const countedLength = 1024 * 1024;

// Each word that was seen is kept with its tokens; a hundred thousand, the default, may be 50 MB.
setMergeCacheSize(10_000);
const asText = { disallowedSpecial: new Set<string>() };

/** Models of OpenAI that read `o200k_base`. Older ones and those for embeddings read another encoding, which is not kept in memory. */
const o200k = /^(ft:)?(gpt-4o|gpt-4\.[15]|gpt-[5-9]|gpt-oss|gpt-audio|chatgpt-|codex-|o[1-9])/;

export function hasTokenizer(provider: string, model: string): boolean {
  return provider === "openai" && o200k.test(model.toLowerCase());
}

/** Tokens of a text by the tokenizer. Lets others have their turn while a long one is counted. */
export async function countText(text: string, bytesPerTokenBeyond: number): Promise<number> {
  let tokens = 0;
  const end = Math.min(text.length, countedLength);
  for (let at = 0; at < end; at += pieceLength) {
    if (at > 0 && at % turnLength === 0) await wait(0);
    tokens += countTokens(text.slice(at, Math.min(at + pieceLength, end)), asText);
  }
  return tokens + Math.ceil(Buffer.byteLength(text.slice(end)) / bytesPerTokenBeyond);
}

/** The prompt of a request whose provider did not count it. Walks with a stack of its own: a body may be nested deeper than the call stack. */
export async function countPrompt(
  provider: string,
  model: string,
  body: Readonly<Record<string, unknown>>,
  prompt: readonly string[],
): Promise<number> {
  const messages = Array.isArray(body["messages"]) ? body["messages"].length : 0;
  const texts: string[] = [];
  let given = 0;
  const stack: unknown[] = prompt.map((field) => body[field]);
  while (stack.length > 0) {
    const value = stack.pop();
    if (typeof value === "string" && value.startsWith("data:")) given += tokensPerAttachment;
    else if (typeof value === "string") texts.push(value);
    // Prompts of embeddings may be tokens already.
    else if (typeof value === "number") given += 1;
    else if (Array.isArray(value)) for (const part of value) stack.push(part);
    else if (isFields(value)) {
      const isData = value["type"] === "base64";
      if (isData) given += tokensPerAttachment;
      for (const [name, part] of Object.entries(value)) if (!isData || name !== "data") stack.push(part);
    }
  }
  return given + messages * tokensPerMessage + (await countAll(provider, model, texts.join("\n"), 0));
}

/** What came of an answer whose provider did not count it. */
export async function countOutput(provider: string, model: string, reading: Reading): Promise<number> {
  const text = reading.text.join("");
  return await countAll(provider, model, text, reading.textLength - text.length);
}

/** `more`: characters that were not kept. */
async function countAll(provider: string, model: string, text: string, more: number): Promise<number> {
  const counted = hasTokenizer(provider, model)
    ? await countText(text, bytesPerToken)
    : Math.ceil(Buffer.byteLength(text) / bytesPerToken);
  return counted + Math.ceil(more / bytesPerToken);
}
