/** `drawdown keys`: makes, lists, changes and revokes API keys, each act on record. Only `create` ever shows a secret, once. */
import {
  type ApiKey,
  createKey,
  type HoldPolicy,
  type KeyChanges,
  type LeavePolicy,
  listKeys,
  parseUnits,
  revokeKey,
  type SpendPeriod,
  updateKey,
} from "@drawdown/billing";
import { findAccount } from "@drawdown/db";
import { Problem } from "../problem.ts";
import { withDatabase } from "../stores.ts";
import { type ActOptions, actOf, beforeWords } from "./act.ts";
import { print, printJson, printPairs, printTable } from "./output.ts";

/** A key is made or revoked in a hurry: without a reason the act says where it came from. */
const defaultReason = "from the command line";

export type KeyOptions = ActOptions & {
  name?: string;
  expires?: Date;
  models?: string[];
  spendLimit?: string;
  spendPeriod?: SpendPeriod;
  rpm?: number;
  holdPolicy?: HoldPolicy;
  leavePolicy?: LeavePolicy;
};

/** What the options say of a key; what they do not say is absent. */
function changesOf({ name, expires, models, spendLimit, spendPeriod, rpm, holdPolicy, leavePolicy }: KeyOptions) {
  if ((spendLimit === undefined) !== (spendPeriod === undefined))
    throw new Problem("--spend-limit and --spend-period belong together.");
  return {
    ...(name === undefined ? {} : { name }),
    ...(expires === undefined ? {} : { expiresAt: expires }),
    ...(models === undefined ? {} : { allowedModels: models }),
    ...(rpm === undefined ? {} : { requestsPerMinute: rpm }),
    ...(holdPolicy === undefined ? {} : { holdPolicy }),
    ...(leavePolicy === undefined ? {} : { leavePolicy }),
    ...(spendLimit === undefined || spendPeriod === undefined
      ? {}
      : { spendLimit: { period: spendPeriod, limitNanos: parseUnits(spendLimit) } }),
  };
}

export async function createKeyCommand(options: KeyOptions & { account?: string; user?: string }): Promise<void> {
  const { account, user, json } = options;
  if (account === undefined && user === undefined) throw new Problem("Say who pays: --account <id>, or --user <id>.");
  const whose = {
    ...(account === undefined ? {} : { accountId: account }),
    ...(user === undefined ? {} : { userId: user }),
  };
  const limits = changesOf(options);
  await withDatabase(async (db) => {
    const outcome = await createKey({ db }, { ...whose, ...limits }, actOf({ ...options, reason: reasonOf(options) }));
    if (outcome.outcome === "refused")
      throw new Problem(
        outcome.reason === "ambiguous_user"
          ? "The account has several users: say whose key it is with --user <id>."
          : "No user has this account, or nobody pays for this user.",
      );
    if (outcome.outcome === "repeated") throw new Problem(beforeWords.repeated);
    const { key, secret, operationId } = outcome;
    const apiKey = `${key.virtualKey}.${secret}`;
    if (json) return printJson({ api_key: apiKey, operation_id: operationId, ...keyJson(key) });
    printPairs([["API key, shown this once", apiKey], ...keyPairs(key)]);
  });
}

const cleared = {
  name: { name: null },
  expires: { expiresAt: null },
  models: { allowedModels: null },
  "spend-limit": { spendLimit: null },
  rpm: { requestsPerMinute: null },
  "hold-policy": { holdPolicy: null },
  "leave-policy": { leavePolicy: null },
} as const satisfies Record<string, KeyChanges>;

export async function updateKeyCommand(
  key: string,
  options: KeyOptions & { clear?: (keyof typeof cleared)[] },
): Promise<void> {
  const changes: KeyChanges = Object.assign({}, ...(options.clear ?? []).map((name) => cleared[name]));
  for (const [name, value] of Object.entries(changesOf(options))) {
    if (name in changes) throw new Problem("A limit is either set or cleared, not both.");
    Object.assign(changes, { [name]: value });
  }
  if (Object.keys(changes).length === 0) throw new Problem("Say what to change: a limit, or --clear <what>.");
  await withDatabase(async (db) => {
    const outcome = await updateKey({ db }, key, changes, actOf({ ...options, reason: reasonOf(options) }));
    if (outcome.outcome === "unknown_key") throw noSuchKey();
    if (outcome.outcome === "revoked") throw new Problem("The key is revoked: it stays as it was.");
    if (options.json) return printJson({ operation_id: outcome.operationId, ...keyJson(outcome.key) });
    if (outcome.outcome !== "updated") print(beforeWords[outcome.outcome]);
    printPairs([["key", outcome.key.virtualKey], ["name", outcome.key.name ?? "-"], ...keyPairs(outcome.key)]);
  });
}

// What follows the dot is a secret: it is not repeated.
function noSuchKey(): Problem {
  return new Problem("There is no such key. A key is named by its public part, what stands before the last dot.");
}

export async function listKeysCommand({ account, json }: { account?: string; json: boolean }): Promise<void> {
  await withDatabase(async (db) => {
    const found = account === undefined ? undefined : await findAccount(db, account);
    if (account !== undefined && found === undefined)
      throw new Problem(`No account has the id, or an owner with the id, ${account}.`);
    const keys = await listKeys({ db }, found === undefined ? {} : { accountId: found.id });
    if (json) return printJson({ keys: keys.map(keyJson) });
    if (keys.length === 0) return print("There are no keys.");
    printTable([
      ["KEY", "STATUS", "NAME", "ACCOUNT", "MODELS", "SPEND LIMIT", "RPM", "EXPIRES"],
      ...keys.map((key) => [
        key.virtualKey,
        key.status,
        key.name ?? "-",
        key.accountId ?? "-",
        key.allowedModels?.join(",") ?? "all",
        key.spendLimit === null ? "-" : `${key.spendLimit} a ${key.spendPeriod}`,
        key.requestsPerMinute?.toString() ?? "-",
        key.expiresAt?.toISOString() ?? "-",
      ]),
    ]);
  });
}

export async function revokeKeyCommand(key: string, options: ActOptions): Promise<void> {
  await withDatabase(async (db) => {
    const outcome = await revokeKey({ db }, key, actOf({ ...options, reason: reasonOf(options) }));
    if (outcome.outcome === "unknown_key") throw noSuchKey();
    const already = outcome.outcome === "repeated";
    if (!options.json)
      return print(already ? "It was revoked before." : "Revoked. Every gateway refuses it within a second.");
    printJson({ ...(already ? {} : { operation_id: outcome.operationId }), ...keyJson(outcome.key) });
  });
}

function reasonOf({ reason }: ActOptions): string {
  return reason ?? defaultReason;
}

function keyJson(key: ApiKey) {
  return {
    virtual_key: key.virtualKey,
    name: key.name,
    status: key.status,
    account_balance_id: key.accountId,
    owner_id: key.ownerId,
    account_type: key.accountType,
    user_id: key.userId,
    allowed_models: key.allowedModels,
    spend_limit: key.spendLimit,
    spend_period: key.spendPeriod,
    requests_per_minute: key.requestsPerMinute,
    hold_policy: key.holdPolicy,
    leave_policy: key.leavePolicy,
    created_at: key.createdAt,
    created_by: key.createdBy,
    expires_at: key.expiresAt,
    revoked_at: key.revokedAt,
  };
}

function keyPairs(key: ApiKey): [string, string][] {
  return [
    ["account", `${key.accountId} (${key.accountType} ${key.ownerId})`],
    ["user", key.userId],
    ["models", key.allowedModels?.join(", ") ?? "all"],
    ["spend limit", key.spendLimit === null ? "none" : `${key.spendLimit} a ${key.spendPeriod}`],
    ["requests per minute", key.requestsPerMinute?.toString() ?? "no limit"],
    ["hold policy", key.holdPolicy ?? "the gateway's"],
    ["leave policy", key.leavePolicy ?? "drain"],
    ["expires", key.expiresAt?.toISOString() ?? "never"],
  ];
}
