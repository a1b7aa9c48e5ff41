// What an alert is about, as places of the console: from its key and details, as those who open alerts write them.

export type About =
  | { kind: "account"; id: string; href: string }
  | { kind: "shard"; shard: number; href: string }
  /** Names a text of "alerts.page". */
  | { kind: "page"; page: "pending" | "deadLetters" | "streams" | "operations"; href: string };

type Alert = { kind: string; key: string; details: Record<string, unknown> };

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** More shards than these are all of them, nearly. */
const SHARDS_MAX = 16;

const pages: Record<string, Extract<About, { kind: "page" }>> = {
  dead_letters: { kind: "page", page: "deadLetters", href: "/dead-letters" },
  oldest_unsettled: { kind: "page", page: "pending", href: "/pending" },
  poison_rate: { kind: "page", page: "pending", href: "/pending" },
  backlog: { kind: "page", page: "streams", href: "/streams" },
  no_consumer: { kind: "page", page: "streams", href: "/streams" },
  memory: { kind: "page", page: "streams", href: "/streams" },
  unaccounted: { kind: "page", page: "streams", href: "/streams" },
  lost_epoch: { kind: "page", page: "streams", href: "/streams" },
};

export function aboutOf({ kind, key, details }: Alert): About[] {
  const accounts = new Set([key, details["account_id"]].filter((id) => typeof id === "string" && UUID.test(id)));
  const page = pages[kind];
  return [
    ...[...accounts].map((id) => ({ kind: "account" as const, id: String(id), href: `/accounts/${String(id)}` })),
    ...shardsOf(key, details).map((shard) => ({ kind: "shard" as const, shard, href: `/streams#shard-${shard}` })),
    ...(page === undefined ? [] : [page]),
  ];
}

function shardsOf(key: string, details: Record<string, unknown>): number[] {
  const named = /^(?:shard |stream:deductions:)(\d{1,5})$/.exec(key)?.[1];
  const { shard, shards, fullest } = details;
  const listed: unknown[] = [
    named === undefined ? undefined : Number(named),
    shard,
    ...(Array.isArray(shards) ? (shards as unknown[]) : []),
    typeof fullest === "object" && fullest !== null && "shard" in fullest ? fullest.shard : undefined,
  ];
  const known = listed.filter((one) => typeof one === "number" && Number.isInteger(one) && one >= 0);
  return [...new Set(known as number[])].slice(0, SHARDS_MAX);
}
