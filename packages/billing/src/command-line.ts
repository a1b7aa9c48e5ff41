// Each act of an operator as the command that does the same, to copy from the console. Pure: a text from a text. Whatever a reason or a
// name holds, the shell hands it to the command as it is and runs nothing of it: see `quote`. The commands themselves are in apps/runtime.
import type { LetterFilters } from "./letters.ts";
import type { PriceToSet } from "./price-acts.ts";
import type { ProviderToSet } from "./provider-acts.ts";
import type { ReplaySelection } from "./replay-find.ts";
import type { HoldPolicy, LeavePolicy } from "./virtual-keys.ts";

/** An act as the console asks for it. Amounts are decimal text of units, accounts and deductions are named by their ids. */
export type CommandAct =
  /** A list's window ends at a moment, which no command can be given: its entries are named. */
  | { act: "replay"; selection: ReplaySelection & { newestMs?: never } }
  | { act: "discard" | "restore"; ids: readonly string[] }
  | { act: "cleanup"; shards?: readonly number[]; maxAgeHours?: number; maxPerShard?: number; cutOff?: Date }
  | { act: "credit"; accountId: string; amount: string; category?: string; reference?: string }
  | { act: "refund"; deductionId: string; amount?: string }
  | { act: "freeze" | "unfreeze"; accountId: string }
  | { act: "credit_limit"; accountId: string; limit: string }
  | ({ act: "create_key"; accountId?: string; userId?: string } & KeyFlags)
  | ({ act: "update_key"; virtualKey: string } & { [Name in keyof KeyFlags]: KeyFlags[Name] | null })
  | { act: "revoke_key"; virtualKey: string }
  | { act: "set_price"; price: PriceToSet }
  | { act: "remove_price"; id: string }
  | { act: "set_provider"; provider: ProviderToSet }
  | { act: "remove_provider"; name: string }
  | { act: "accept"; accountId: string; fromSeq: string; toSeq: string }
  | { act: "repair"; accountId: string; writeOff?: readonly string[] }
  | { act: "pause" | "resume" | "abort"; operationId: string }
  | OperatorCommand;

type OperatorCommand =
  | { act: "create_operator"; email: string; role: string; name?: string }
  | { act: "set_operator_role"; email: string; role: string }
  | { act: "disable_operator" | "enable_operator" | "sign_out_operator" | "reset_operator_password"; email: string };

type KeyFlags = {
  name?: string;
  expiresAt?: Date;
  allowedModels?: readonly string[];
  spendLimit?: { limit: string; period: string };
  requestsPerMinute?: number;
  holdPolicy?: HoldPolicy;
  leavePolicy?: LeavePolicy;
};

/** The words after `drawdown`, and what is given on standard input. */
type Words = { words: string[]; input?: readonly string[] };

/** More ids than these do not go on a command line of bounded length: they are given line by line. */
const IDS_IN_WORDS = 50;

/**
 * The command for a POSIX shell that does exactly this act. With `reason`, and `actor` when it is to be another than who is signed
 * in on that machine. Throws `RangeError` for a text with a NUL character, which no command can be given.
 */
export function commandFor(
  act: CommandAct,
  { reason, actor, program = "drawdown" }: { reason: string; actor?: string; program?: string },
): string {
  const { words, input } = wordsOf(act);
  const why = [`--reason=${reason}`, ...(actor === undefined ? [] : [`--actor=${actor}`])];
  // What follows `--` is never taken for an option: an amount may be negative, a name may begin with a dash.
  const end = words.indexOf("--");
  const all = end < 0 ? [...words, ...why] : [...words.slice(0, end), ...why, ...words.slice(end)];
  const line = [program, ...all.map(quote)].join(" ");
  return input === undefined ? line : `${line} <<'IDS'\n${input.join("\n")}\nIDS`;
}

/**
 * Looks for a deduction, by its id or its entry's (with its stream or without), in a file of retention: a line for a POSIX shell in the
 * directory of retention. Throws `RangeError` as `commandFor` does.
 */
export function searchFor(id: string, file: string): string {
  // A row has its stream and its entry's id beside each other.
  return `zgrep ${quote(id.replace(/^stream:deductions:\d{1,5}\//, ""))} ${quote(file)}`;
}

/**
 * A word that the shell reads as exactly this text. Characters that steer a terminal, or the direction of what is read, are written
 * by their bytes: pasted, they could otherwise end the paste, or show another command than is run.
 */
export function quote(text: string): string {
  if (text.includes("\0")) throw new RangeError("A command cannot be given a NUL character.");
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(text)) return text;
  const parts = text.split(STEERING).map((part, i) => {
    if (i % 2 === 0) return part === "" ? "" : `'${part.replaceAll("'", `'\\''`)}'`;
    const bytes = [...new TextEncoder().encode(part)].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`);
    return `"$(printf '${bytes.join("")}')"`;
  });
  return parts.join("") || "''";
}

/** Control characters but for the newline (a substitution would drop it, and in quotes it is harmless), and marks of direction. */
const STEERING = /((?:(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}])+)/u;

function wordsOf(act: CommandAct): Words {
  switch (act.act) {
    case "replay":
      return replayWords(act.selection);
    case "discard":
    case "restore":
      return withIds([act.act], act.ids);
    case "cleanup":
      return { words: cleanupWords(act) };
    case "credit":
      return {
        words: [
          "credit",
          ...flag("category", act.category),
          ...flag("reference", act.reference),
          "--",
          act.accountId,
          act.amount,
        ],
      };
    case "refund":
      return { words: ["refund", ...flag("amount", act.amount), "--", act.deductionId] };
    case "freeze":
    case "unfreeze":
      return { words: [act.act, "--", act.accountId] };
    case "credit_limit":
      return { words: ["credit-limit", "--", act.accountId, act.limit] };
    case "create_key":
      return {
        words: ["keys", "create", ...flag("account", act.accountId), ...flag("user", act.userId), ...keyFlags(act)],
      };
    case "update_key":
      return { words: ["keys", "update", ...keyFlags(act), ...clearFlags(act), "--", act.virtualKey] };
    case "revoke_key":
      return { words: ["keys", "revoke", "--", act.virtualKey] };
    case "set_price":
      return { words: priceWords(act.price) };
    case "remove_price":
      return { words: ["prices", "remove", "--", act.id] };
    case "set_provider": {
      const { name, baseUrl, shape, apiKeyEnv } = act.provider;
      const flags = [...flag("base-url", baseUrl), ...flag("shape", shape), ...flag("api-key-env", apiKeyEnv)];
      return { words: ["providers", "set", ...flags, "--", name] };
    }
    case "remove_provider":
      return { words: ["providers", "remove", "--", act.name] };
    case "accept":
      return { words: ["accept", ...flag("account", act.accountId), `--seqs=${act.fromSeq}-${act.toSeq}`] };
    case "repair":
      return {
        words: [
          "repair",
          ...flag("account", act.accountId),
          ...(act.writeOff ?? []).flatMap((id) => flag("write-off", id)),
          "--yes",
        ],
      };
    case "pause":
    case "resume":
    case "abort":
      return { words: ["operations", act.act, "--", act.operationId] };
    default:
      return { words: ["operators", ...operatorWords(act)] };
  }
}

function operatorWords(act: OperatorCommand): string[] {
  switch (act.act) {
    case "create_operator":
      return ["create", ...flag("role", act.role), ...flag("name", act.name), "--", act.email];
    case "set_operator_role":
      return ["role", "--", act.email, act.role];
    case "disable_operator":
      return ["disable", "--", act.email];
    case "enable_operator":
      return ["enable", "--", act.email];
    case "sign_out_operator":
      return ["sign-out", "--", act.email];
    case "reset_operator_password":
      return ["reset-password", "--", act.email];
  }
}

/** In one word with its value, which may then begin with a dash. */
function flag(name: string, value: string | number | Date | null | undefined): string[] {
  if (value === undefined || value === null) return [];
  return [`--${name}=${value instanceof Date ? value.toISOString() : value}`];
}

function withIds(words: string[], ids: readonly string[]): Words {
  if (ids.length <= IDS_IN_WORDS) return { words: [...words, ...ids.map((id) => `--id=${id}`)] };
  // A name has no line break; one that does is none, and must not become two.
  const odd = ids.find((id) => !/^[\x21-\x7e]+$/.test(id) || id === "IDS");
  if (odd !== undefined) throw new RangeError("A target's name is one word.");
  return { words: [...words, "--ids-from=-"], input: ids };
}

function replayWords(selection: ReplaySelection): Words {
  const words = ["replay", ...replayFlags(selection), "--yes"];
  return "ids" in selection && selection.ids !== undefined ? withIds(words, selection.ids) : { words };
}

function replayFlags(selection: ReplaySelection): string[] {
  const limit = flag("limit", selection.limit);
  switch (selection.kind) {
    case "named":
      return limit;
    case "failed":
      return [...flag("failed-of", selection.operationId), ...limit];
    case "pending":
      return ["--pending", ...filterFlags(selection), ...flag("consumer", selection.consumer), ...limit];
    case "unaccounted":
      return ["--unaccounted", ...filterFlags(selection), ...limit];
    case "dead_letters": {
      const { errorClass, accountId, from, to } = selection;
      const own = [...flag("error-class", errorClass), ...flag("account", accountId)];
      return ["--dead-letters", ...filterFlags(selection), ...own, ...flag("from", from), ...flag("to", to), ...limit];
    }
  }
}

function filterFlags({ shards, olderThanMs }: Pick<LetterFilters, "shards" | "olderThanMs">): string[] {
  const age = olderThanMs === undefined ? undefined : (olderThanMs / 1_000).toFixed(3);
  return [...(shards ?? []).flatMap((shard) => flag("shard", shard)), ...flag("older-than", age)];
}

function cleanupWords(act: Extract<CommandAct, { act: "cleanup" }>): string[] {
  return [
    "cleanup",
    ...(act.shards ?? []).flatMap((shard) => flag("shard", shard)),
    ...flag("max-age-hours", act.maxAgeHours),
    ...flag("max-per-shard", act.maxPerShard),
    ...flag("before", act.cutOff),
  ];
}

type KeyWords = { [Name in keyof KeyFlags]: KeyFlags[Name] | null };

function keyFlags(key: KeyWords): string[] {
  return [
    ...flag("name", key.name),
    ...flag("expires", key.expiresAt),
    ...flag("models", key.allowedModels && modelList(key.allowedModels)),
    ...flag("spend-limit", key.spendLimit?.limit),
    ...flag("spend-period", key.spendLimit?.period),
    ...flag("rpm", key.requestsPerMinute),
    ...flag("hold-policy", key.holdPolicy),
    ...flag("leave-policy", key.leavePolicy),
  ];
}

function modelList(models: readonly string[]): string {
  if (models.some((name) => name.includes(","))) throw new RangeError("No command can be given a model with a comma.");
  return models.join(",");
}

function clearFlags(key: KeyWords): string[] {
  const cleared = [
    ["name", key.name],
    ["expires", key.expiresAt],
    ["models", key.allowedModels],
    ["spend-limit", key.spendLimit],
    ["rpm", key.requestsPerMinute],
    ["hold-policy", key.holdPolicy],
    ["leave-policy", key.leavePolicy],
  ] as const;
  return cleared.flatMap(([name, value]) => (value === null ? [`--clear=${name}`] : []));
}

function priceWords(price: PriceToSet): string[] {
  const json = (value: object | undefined) => (value === undefined ? undefined : JSON.stringify(value));
  return [
    "prices",
    "set",
    ...flag("price-model", price.priceModel),
    ...flag("customer-type", price.customerTypeId),
    ...flag("currency", price.currency),
    ...flag("token", price.tokenPrice),
    ...flag("input", price.inputPrice),
    ...flag("cached-input", price.cachedInputPrice),
    ...flag("cache-write", price.cacheWritePrice),
    ...flag("cache-write-1h", price.cacheWrite1hPrice),
    ...flag("output", price.outputPrice),
    ...flag("request", price.requestPrice),
    ...flag("details", json(price.detailPrices)),
    ...flag("tiers", json(price.tiers)),
    ...flag("match", json(price.match)),
    ...flag("from", price.validFrom),
    ...flag("window", price.window && `${price.window.start}-${price.window.end}`),
    "--",
    price.provider,
    price.model,
  ];
}
