/** The customers of the demo, each with something to see: ordinary ones, one that owes, one that is frozen, one with a name that attacks. */
import {
  type AccountRef,
  type Act,
  type Billing,
  freezeAccount,
  giveCredit,
  hashSecret,
  parseUnits,
} from "@drawdown/billing";
import { putVirtualKey, schema } from "@drawdown/db";

/** Fixed ids make a second run find what the first one made. */
const id = (number: number) => `00000000-0000-4000-8000-${number.toString().padStart(12, "0")}`;

export type Customer = { account: AccountRef; name: string; credit: string; keys: readonly string[] };

function customer(number: number, name: string, credit: string, ...keys: string[]): Customer {
  const account: AccountRef = { id: id(100 + number), ownerId: id(200 + number), type: "user", currency: "USD" };
  return { account, name, credit, keys: keys.map((key) => `vk_demo_${key}`) };
}

export const busy = [
  customer(1, "Ada Analytics", "250", "ada_app", "ada_batch"),
  customer(2, "Borealis Books", "80.5", "borealis"),
  customer(3, "Cobalt Clinics", "1200", "cobalt_notes", "cobalt_intake"),
];
export const poor = customer(4, "Dune Drones (almost out)", "0.05", "dune");
const overdue = customer(5, "Ember Eats (owes)", "2", "ember");
const frozen = customer(6, "Fjord Films (frozen)", "40", "fjord");
/** 18 digits: more than a float can hold. */
export const rich = customer(7, "Granite Group", "987654321.123456789", "granite");
export const hostile = customer(
  8,
  `<img src=x onerror="alert(1)"> \u202Eevil\u202C '); DROP TABLE users;-- {{7*7}}`,
  "25",
  "hostile",
);
/** Unknown at first: its entries become dead letters, which a replay settles when it is there. */
export const late = customer(9, "Harbor Hotels (came late)", "30", "harbor");

/** Whose account never comes: a replay of its entry fails until somebody adds it. */
export const missingAccountId = id(110);

const inTime = [...busy, poor, overdue, frozen, rich, hostile];

export async function makeCustomers(billing: Billing, act: Act): Promise<void> {
  for (const one of inTime) await makeCustomer(billing, one, act);
  const taken = { accountId: overdue.account.id, category: "adjustment", reference: "demo overdue" } as const;
  await giveCredit(
    billing,
    { ...taken, amountNanos: parseUnits("-5.75") },
    { ...act, reason: "demo: a payment bounced" },
  );
  await freezeAccount(billing, frozen.account.id, { ...act, reason: "demo: card disputed" });
}

export async function makeCustomer(
  billing: Billing,
  { account, name, credit, keys }: Customer,
  act: Act,
): Promise<void> {
  const { db } = billing;
  await db
    .insert(schema.userProfile)
    .values({ id: account.ownerId, name, email: `${keys[0]}@demo.invalid` })
    .onConflictDoNothing();
  await db.insert(schema.accountBalance).values({ id: account.id, ownerUserid: account.ownerId }).onConflictDoNothing();
  const topUp = {
    accountId: account.id,
    amountNanos: parseUnits(credit),
    category: "top_up",
    reference: `demo ${account.id}`,
  } as const;
  await giveCredit(billing, topUp, { ...act, reason: "demo: prepaid" });
  const known = await billing.query<{ virtual_key: string }>(
    "SELECT virtual_key FROM data.virtual_key WHERE virtual_key = ANY($1)",
    [keys],
  );
  for (const virtualKey of keys.filter((key) => !known.some((row) => row.virtual_key === key))) {
    // Nobody is told its secret: these keys are to be looked at.
    await putVirtualKey(db, {
      virtualKey,
      userId: account.ownerId,
      secretSha256: hashSecret(crypto.randomUUID()),
      name,
    });
  }
}
