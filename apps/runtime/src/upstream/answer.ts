/**
 * What the simulated provider says, as a pure function of what it was asked: the same body always gets the same text and usage.
 *
 * Tokens in: one for every 4 characters begun of all text in the body, at least 1. Tokens out: one for each word of the answer.
 * From 1,024 tokens in, whole blocks of 128 were cached (as OpenAI counts them); Anthropic's shape reports the same cached tokens
 * apart from `input_tokens`. Models whose name begins with o1, o3, o4 or gpt-5 reason first: as many tokens again as they say words.
 */
import { createHash } from "node:crypto";

/** How an answer is to go wrong. Asked for by the header `x-upstream-behaviour`, or by `[upstream: …]` anywhere in the prompt. */
export type Behaviour = {
  /** Waits before the first byte. */
  slowMs: number;
  /** Waits between the chunks of a stream. */
  paceMs: number;
  /** Answers this error status instead. */
  status: number | undefined;
  /** Says with status 200 that it failed. */
  quietly: boolean;
  /** Breaks the connection after so many text chunks of a stream; a plain answer is broken off in its middle. */
  cutAfter: number | undefined;
  usage: "full" | "none" | "zero";
  /** Takes the request and never answers. */
  hang: boolean;
  /** Says nothing more after so many text chunks of a stream, and keeps the connection. */
  stallAfter: number | undefined;
  /** Does not close a stream after its end. */
  linger: boolean;
  /** Says an error after so many text chunks of a stream, and ends it. */
  failAfter: number | undefined;
  /** Calls the first tool that is offered instead of answering in words. */
  tool: boolean;
  /** Words in the answer, cached tokens and cache-write tokens, when the rule above is not what a test needs. */
  tokens: number | undefined;
  cached: number | undefined;
  cacheWrite: number;
};

export type Answer = {
  id: string;
  model: string;
  words: string[];
  /** The words are said as the argument `text` of this tool. */
  tool: string | undefined;
  /** How often the words are said: `n` of a chat. */
  answers: number;
  inputTokens: number;
  cachedTokens: number;
  cacheWriteTokens: number;
  /** Reasoning included. */
  outputTokens: number;
  reasoningTokens: number;
  finish: "stop" | "length";
  usage: Behaviour["usage"];
};

export type Asked = {
  model?: unknown;
  max_tokens?: unknown;
  max_completion_tokens?: unknown;
  max_output_tokens?: unknown;
  [field: string]: unknown;
};

const vocabulary =
  "every balance tells the story of what came in and what went out and a ledger that forgets one line tells another story".split(
    " ",
  );
const defaultWords = 12;
const charactersPerToken = 4;
const cacheBlockTokens = 128;
const cacheFromTokens = 1024;

/** `slow=200, pace=50, status=500, quiet-error, cut=3, stall=3, fail=3, no-usage, zero-usage, hang, linger, tool, tokens=20, cached=8, cache-write=4`; unknown words throw. */
export function readBehaviour(header: string | undefined, prompt: string): Behaviour {
  const behaviour: Behaviour = {
    slowMs: 0,
    paceMs: 0,
    status: undefined,
    quietly: false,
    cutAfter: undefined,
    usage: "full",
    hang: false,
    stallAfter: undefined,
    linger: false,
    failAfter: undefined,
    tool: false,
    tokens: undefined,
    cached: undefined,
    cacheWrite: 0,
  };
  const wishes = [header ?? "", /\[upstream:([^\]]*)\]/.exec(prompt)?.[1] ?? ""].join(",");
  for (const wish of wishes.split(",")) {
    const [name = "", value] = wish.trim().split("=");
    if (name !== "") applyWish(behaviour, name, Number(value ?? 0));
  }
  return behaviour;
}

function applyWish(behaviour: Behaviour, name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`upstream behaviour ${name} needs a whole number`);
  if (name === "slow") behaviour.slowMs = value;
  else if (name === "pace") behaviour.paceMs = value;
  else if (name === "status" && value >= 400 && value <= 599) behaviour.status = value;
  else if (name === "quiet-error") behaviour.quietly = true;
  else if (name === "cut") behaviour.cutAfter = value;
  else if (name === "no-usage") behaviour.usage = "none";
  else if (name === "zero-usage") behaviour.usage = "zero";
  else if (name === "hang") behaviour.hang = true;
  else if (name === "stall") behaviour.stallAfter = value;
  else if (name === "linger") behaviour.linger = true;
  else if (name === "fail") behaviour.failAfter = value;
  else if (name === "tool") behaviour.tool = true;
  else if (name === "tokens") behaviour.tokens = value;
  else if (name === "cached") behaviour.cached = value;
  else if (name === "cache-write") behaviour.cacheWrite = value;
  else throw new Error(`unknown upstream behaviour ${JSON.stringify(name)}`);
}

/** All text of a body in the order it stands: messages, system, instructions, input, and the parts of each. */
export function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.map(textOf).filter(Boolean).join("\n");
  if (typeof value !== "object" || value === null) return "";
  const part = value as Record<string, unknown>;
  return ["system", "instructions", "messages", "input", "content", "text"]
    .map((field) => textOf(part[field]))
    .filter(Boolean)
    .join("\n");
}

export function countTokens(text: string): number {
  return Math.max(1, Math.ceil(text.length / charactersPerToken));
}

export function answer(asked: Asked, behaviour: Behaviour): Answer {
  const text = textOf(asked);
  const model = typeof asked.model === "string" ? asked.model : "";
  const digest = createHash("sha256").update(`${model}\n${text}`).digest();
  const inputTokens = countTokens(text);
  const blocks = inputTokens >= cacheFromTokens ? Math.floor(inputTokens / cacheBlockTokens) * cacheBlockTokens : 0;
  const cachedTokens = Math.min(behaviour.cached ?? blocks, inputTokens);
  const limits = [asked.max_completion_tokens, asked.max_tokens, asked.max_output_tokens];
  const limit = limits.find((field) => typeof field === "number");
  const wanted = behaviour.tokens ?? defaultWords;
  const reasons = /^(o1|o3|o4|gpt-5)/.test(model);
  const room = limit === undefined ? wanted : Math.floor(limit / (reasons ? 2 : 1));
  const words = Array.from({ length: Math.min(wanted, room) }, (_, index) => {
    return vocabulary[((digest[index % digest.length] ?? 0) + index) % vocabulary.length] ?? "";
  });
  const answers = typeof asked["n"] === "number" ? asked["n"] : 1;
  const reasoningTokens = reasons ? words.length * answers : 0;
  return {
    id: digest.toString("hex").slice(0, 24),
    model,
    words,
    tool: behaviour.tool ? firstTool(asked["tools"]) : undefined,
    answers,
    inputTokens,
    cachedTokens,
    cacheWriteTokens: Math.min(behaviour.cacheWrite, inputTokens - cachedTokens),
    outputTokens: words.length * answers + reasoningTokens,
    reasoningTokens,
    finish: words.length < wanted ? "length" : "stop",
    usage: behaviour.usage,
  };
}

/** A tool's name, however the API writes it down. */
function firstTool(tools: unknown): string | undefined {
  const [tool] = (Array.isArray(tools) ? tools : []) as { name?: unknown; function?: { name?: unknown } }[];
  const name = tool?.function?.name ?? tool?.name;
  return typeof name === "string" ? name : undefined;
}

/** A vector of numbers between −1 and 1 that depends on the text alone. */
export function embed(text: string, dimensions: number): number[] {
  const digest = createHash("sha256").update(text).digest();
  return Array.from({ length: dimensions }, (_, index) => ((digest[index % digest.length] ?? 0) - 127.5) / 127.5);
}
