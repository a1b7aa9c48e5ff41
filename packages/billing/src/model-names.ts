/**
 * Which model a name means. A price row names one model; its `match` clause says which other names mean it too: aliases
 * (`gpt-35-turbo`) and dated snapshots (`gpt-4o-2024-08-06`), as the providers' own APIs use them. Clauses are stored beside the prices
 * and not expanded into names: many are open-ended (`starts_with`), so that next week's snapshot has a price before the next import.
 */
import type { MatchClause } from "@drawdown/db";

type NameTest = (lowerCaseName: string) => boolean;

/** A clause taken apart: its exact names, for an index, and a test for the rest (undefined when there is no rest). */
export type CompiledClause = { names: string[]; test: NameTest | undefined };

/** Throws an `Error` for what is no clause: one that is not understood must not silently match nothing. */
export function compileClause(clause: MatchClause): CompiledClause {
  const names: string[] = [];
  const tests: NameTest[] = [];
  for (const alternative of "or" in clause ? clause.or : [clause]) {
    if ("equals" in alternative) names.push(alternative.equals.toLowerCase());
    else tests.push(compileTest(alternative));
  }
  return { names, test: tests.length === 0 ? undefined : (name) => tests.some((test) => test(name)) };
}

function compileTest(clause: MatchClause): NameTest {
  if ("or" in clause) {
    const tests = clause.or.map(compileTest);
    return (name) => tests.some((test) => test(name));
  }
  if ("and" in clause) {
    const tests = clause.and.map(compileTest);
    return (name) => tests.every((test) => test(name));
  }
  if ("regex" in clause) {
    const pattern = new RegExp(clause.regex);
    return (name) => pattern.test(name);
  }
  const [operator, operand] = Object.entries(clause)[0] ?? [];
  if (typeof operand !== "string") throw new Error(`This is no match clause: ${JSON.stringify(clause)}`);
  const wanted = operand.toLowerCase();
  if (operator === "equals") return (name) => name === wanted;
  if (operator === "starts_with") return (name) => name.startsWith(wanted);
  if (operator === "ends_with") return (name) => name.endsWith(wanted);
  if (operator === "contains") return (name) => name.includes(wanted);
  throw new Error(`This is no match clause: ${JSON.stringify(clause)}`);
}

/**
 * The ways in which a model name is looked up, in order: as it is, in lower case, then with its snapshot date written with dashes
 * (`gpt-4o-20240806` → `gpt-4o-2024-08-06`), as some hosts write it without.
 */
export function nameVariants(model: string): string[] {
  const name = model.trim().toLowerCase();
  const dashed = name.replace(/-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)/g, (date, year, month, day) => {
    const parsed = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
    return parsed.getUTCDate() === Number(day) ? `-${year}-${month}-${day}` : date;
  });
  return dashed === name ? [name] : [name, dashed];
}

/**
 * Who makes the model that a bare name means. By prefix of the maker's own names, so that a host which sells the model too (Azure,
 * Bedrock, OpenRouter) is never meant by a bare name.
 */
const makers: readonly (readonly [provider: string, names: RegExp])[] = [
  [
    "openai",
    /^(?:gpt-|chatgpt-|o[134](?:-|$)|codex-|computer-use|ft:(?:gpt-|davinci|babbage)|text-(?:embedding|davinci|curie|babbage|ada|moderation)|omni-moderation|davinci|curie|babbage|ada(?:$|-)|whisper-|tts-|dall-e)/,
  ],
  ["anthropic", /^claude/],
  ["google", /^(?:gemini|gemma|learnlm|imagen|veo)/],
  [
    "mistral",
    /^(?:labs-)?(?:(?:mi|code|dev|magi|mini)stral|mixtral|pixtral|voxtral|open-(?:mistral|mixtral|codestral))/,
  ],
  ["deepseek", /^deepseek/],
  ["x-ai", /^grok/],
  ["cohere", /^(?:command|embed-|rerank-|c4ai)/],
  ["moonshotai", /^(?:kimi|moonshot)/],
  ["minimax", /^(?:minimax|m2-her$)/],
  ["zhipuai", /^glm-/],
  ["voyageai", /^(?:voyage-|rerank-\d)/],
  ["perplexity", /^(?:sonar|r1-1776)/],
  ["cursor", /^composer-/],
  ["typesafe", /^jev-/],
];

/** The makers whose names a bare model name can be, most likely first; empty for a name that no known maker uses. */
export function makersOf(lowerCaseName: string): string[] {
  return makers.filter(([, names]) => names.test(lowerCaseName)).map(([provider]) => provider);
}

/**
 * Hosts that sell makers' models at the makers' prices: what the host itself has no price for is looked up there. The price source says
 * so of these two; a test compares.
 */
export const pricedAsMaker: ReadonlyMap<string, readonly string[]> = new Map([
  ["azure", ["openai", "anthropic", "deepseek", "x-ai", "moonshotai"]],
  ["google", ["anthropic"]],
]);
