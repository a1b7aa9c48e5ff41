/** `drawdown seed`: a small, clean world to try things in. Run again it adds nothing; each key and operator gets a new secret and the old one is void. */
import { randomBytes } from "node:crypto";
import { ensureOperator, hashSecret, importPrices, type PriceImport, temporaryPassword } from "@drawdown/billing";
import { type Db, type OperatorRole, postCredit, putVirtualKey, schema } from "@drawdown/db";
import { inArray } from "drizzle-orm";
import type { Config } from "../config.ts";
import { Problem } from "../problem.ts";
import { withDatabase } from "../stores.ts";
import { print, printJson } from "./output.ts";

/** Fixed ids make a second run find what the first one made. */
const id = (number: number) => `00000000-0000-4000-8000-${number.toString().padStart(12, "0")}`;

const customerTypes = [
  { id: id(1), name: "standard" },
  { id: id(2), name: "partner" },
];
const tenants = [{ id: id(11), name: "Demo tenant", customerTypeId: id(2) }];
const users = [
  { id: id(21), name: "Demo user 1", email: "user1@demo.invalid", customerTypeId: id(1) },
  { id: id(22), name: "Demo user 2", email: "user2@demo.invalid", customerTypeId: id(1) },
  {
    id: id(23),
    name: "Demo tenant user 1",
    email: "tenant-user1@demo.invalid",
    tenantId: id(11),
    customerTypeId: id(2),
  },
  {
    id: id(24),
    name: "Demo tenant user 2",
    email: "tenant-user2@demo.invalid",
    tenantId: id(11),
    customerTypeId: id(2),
  },
];
const accounts = [
  { id: id(31), ownerUserid: id(21) },
  { id: id(32), ownerUserid: id(22) },
  { id: id(33), ownerTenantid: id(11) },
];
const openingUnits = "1000";
/** Users first: their accounts are their own. */
const keys = [
  { virtualKey: "vk_demo_user_1", userId: id(21), accountId: id(31), ownerId: id(21), type: "user" },
  { virtualKey: "vk_demo_user_2", userId: id(22), accountId: id(32), ownerId: id(22), type: "user" },
  { virtualKey: "vk_demo_tenant_1", userId: id(23), accountId: id(33), ownerId: id(11), type: "tenant" },
  { virtualKey: "vk_demo_tenant_2", userId: id(24), accountId: id(33), ownerId: id(11), type: "tenant" },
] as const;

export type Seeded = {
  keys: {
    api_key: string;
    virtual_key: string;
    account_balance_id: string;
    owner_id: string;
    account_type: "user" | "tenant";
  }[];
  operators: { email: string; password: string; role: OperatorRole }[];
};

export async function seedCommand(options: { json: boolean; upstream?: string }): Promise<void> {
  const upstream = options.upstream === undefined ? undefined : upstreamAddress(options.upstream);
  await withDatabase(async (db, { admin }) => {
    const { seeded, prices } = await seed(db, { upstream, admin });
    process.stderr.write(`${prices.models} models of ${prices.providers} providers have a price (${prices.source}).\n`);
    if (options.json) return printJson(seeded);
    print(seeded.keys.map((key) => `${key.account_type.padEnd(6)}  ${key.api_key}`).join("\n"));
    print(seeded.operators.map(({ email, password }) => `operator  ${email}  ${password}`).join("\n"));
  });
}

/** `upstream`: every provider is reached there instead of at its own address. `admin`: in place of the demo admin. */
export type SeedOptions = { upstream: string | undefined; admin: Config["admin"] };

/** Makes what is missing. */
export async function seed(db: Db, { upstream, admin }: SeedOptions): Promise<{ seeded: Seeded; prices: PriceImport }> {
  await db.insert(schema.customerType).values(customerTypes).onConflictDoNothing();
  const types = await db
    .select()
    .from(schema.customerType)
    .where(
      inArray(
        schema.customerType.name,
        customerTypes.map(({ name }) => name),
      ),
    );
  // A customer type of the same name may have been there before us, with an id of its own.
  const typeId = (ours: string) => {
    const wanted = customerTypes.find((type) => type.id === ours);
    return types.find(({ name }) => name === wanted?.name)?.id ?? ours;
  };
  const typed = <T extends { customerTypeId: string }>(row: T) => ({
    ...row,
    customerTypeId: typeId(row.customerTypeId),
  });
  await db.insert(schema.tenant).values(tenants.map(typed)).onConflictDoNothing();
  await db.insert(schema.userProfile).values(users.map(typed)).onConflictDoNothing();
  await db.insert(schema.accountBalance).values(accounts).onConflictDoNothing();
  for (const account of accounts) {
    await postCredit(db, {
      accountId: account.id,
      amount: openingUnits,
      category: "top_up",
      reference: `seed ${account.id}`,
      reason: "demo data",
      actor: "seed",
    });
  }
  const prices = await importPrices(db);
  if (upstream !== undefined) await db.update(schema.provider).set({ baseUrl: upstream });
  return { seeded: { keys: await renewKeys(db), operators: await renewOperators(db, admin) }, prices };
}

async function renewKeys(db: Db): Promise<Seeded["keys"]> {
  const renewed: Seeded["keys"] = [];
  for (const { virtualKey, userId, accountId, ownerId, type } of keys) {
    const secret = randomBytes(32).toString("base64url");
    await putVirtualKey(db, { virtualKey, userId, secretSha256: hashSecret(secret), name: "demo" });
    renewed.push({
      api_key: `${virtualKey}.${secret}`,
      virtual_key: virtualKey,
      account_balance_id: accountId,
      owner_id: ownerId,
      account_type: type,
    });
  }
  return renewed;
}

/** The admin of the settings keeps the password of the settings, the demo operators get new ones. */
async function renewOperators(db: Db, admin: Config["admin"]): Promise<Seeded["operators"]> {
  const renewed: Seeded["operators"] = [];
  for (const role of ["admin", "support", "viewer"] as const) {
    const demo = { email: `${role}@demo.invalid`, password: temporaryPassword() };
    const operator = { ...(role === "admin" && admin !== undefined ? admin : demo), role };
    await ensureOperator(db, operator, { renew: true, actor: "seed" });
    renewed.push(operator);
  }
  return renewed;
}

function upstreamAddress(text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.pathname !== "/" || url.search !== "") {
    throw new Problem(`--upstream must be an address without a path, like http://127.0.0.1:4010, not ${text}.`);
  }
  return url.origin;
}
