// Every Redis name is built here and nowhere else. All keys of a shard carry the hash tag `{stream:deductions:<n>}`,
// which hashes to the same cluster slot as the stream's own name, so one script may touch them together.

/** The consumer group every worker reads through. */
export const GROUP = "billing_workers";

/** Where the number of shards is kept, so that a process configured with another number refuses to run. */
export const SHARD_COUNT_KEY = "drawdown:num_shards";

/** The shard of an account: a 32-bit `h*31 + charCode` hash of `account_balance.id`, as older producers compute it. */
export function shardOf(accountId: string, numShards: number): number {
  let hash = 0;
  for (let i = 0; i < accountId.length; i++) hash = (Math.imul(hash, 31) + accountId.charCodeAt(i)) | 0;
  return Math.abs(hash) % numShards;
}

export function streamKey(shard: number): string {
  return `stream:deductions:${shard}`;
}

/** The shard of a stream name, or undefined when the text names no stream of ours. */
export function shardOfStream(key: string): number | undefined {
  const match = /^stream:deductions:(\d{1,5})$/.exec(key);
  return match ? Number(match[1]) : undefined;
}

export function balanceKey(shard: number, type: string, ownerId: string): string {
  return `balance:{stream:deductions:${shard}}:${type}:${ownerId}`;
}

/** Matches every account of a shard in a SCAN; without a shard, of all shards in one pass over the keys. */
export function balancePattern(shard?: number): string {
  return `balance:{stream:deductions:${shard ?? "*"}}:*`;
}

/** Reads the owner and the shard back out of an account's key. */
export function ownerOfBalanceKey(
  key: string,
): { type: "user" | "tenant"; ownerId: string; shard: number } | undefined {
  const [, shard, type, ownerId] = /^balance:\{stream:deductions:(\d{1,5})\}:(user|tenant):(.+)$/.exec(key) ?? [];
  return ownerId && (type === "user" || type === "tenant") ? { type, ownerId, shard: Number(shard) } : undefined;
}

/** Remembers what a request id of an account was answered. */
export function chargeKey(shard: number, accountId: string, requestId: string): string {
  return `charge:{stream:deductions:${shard}}:${accountId}:${requestId}`;
}

/** An account's open holds: a hash of hold id to `amount expires_ms`. */
export function holdsKey(shard: number, accountId: string): string {
  return `holds:{stream:deductions:${shard}}:${accountId}`;
}

/** A shard's accounts with holds, as `type:owner:account`, by when the next of each expires. */
export function holdsDueKey(shard: number): string {
  return `holds:{stream:deductions:${shard}}`;
}

/** What is known of a hold, also after it is over. Named by the random part of its id: the time in it is Redis' to say. */
export function holdKey(shard: number, random: string): string {
  return `hold:{stream:deductions:${shard}}:${random}`;
}

/** When requests of a virtual key were admitted in the last minute: a list, the newest first. */
export function rateKey(shard: number, virtualKey: string): string {
  return `rate:{stream:deductions:${shard}}:${virtualKey}`;
}

/** Holds the fence token that every money-moving script must be given. */
export function epochKey(shard: number): string {
  return `epoch:{stream:deductions:${shard}}`;
}

/** The stream id up to which every entry is proven settled. */
export function provenKey(shard: number): string {
  return `proven:{stream:deductions:${shard}}`;
}

/** Entries up to the proven mark that are not in the books: a hash of entry id to account id. */
export function unaccountedKey(shard: number): string {
  return `unaccounted:{stream:deductions:${shard}}`;
}

/** Remembers that a repair was done, by its operator action: a second try of the same act changes nothing. */
export function repairKey(shard: number, actionId: string): string {
  return `repair:{stream:deductions:${shard}}:${actionId}`;
}
