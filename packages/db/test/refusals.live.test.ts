import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  findRefusals,
  insertRefusals,
  listRefusals,
  type NewRefusal,
  REFUSALS_PER_ACCOUNT,
  removeOldRefusals,
} from "../src/index.ts";
import { type Books, openBooks } from "./books.ts";

let books: Books;
beforeAll(async () => {
  books = await openBooks();
});
afterAll(() => books.close());

const aRefusal = (accountId: string, more: Partial<NewRefusal> = {}): NewRefusal => ({
  createdAt: new Date(),
  accountId,
  virtualKey: "vk_1",
  requestId: randomUUID(),
  code: "insufficient_balance",
  provider: "openai",
  model: "gpt-4o",
  currency: "USD",
  balance: "0.000000001",
  held: "9223372036.854775807",
  creditLimit: "0.000000000",
  required: "1.500000000",
  spendLimit: null,
  spendPeriod: null,
  spent: null,
  reserved: null,
  price: { input_price: "0.000002500000" },
  estimate: { input_tokens: 7 },
  ...more,
});

describe("Rule: refusals are kept with exact figures, the newest of each account, for 30 days", () => {
  test("what was written is read back, by account and by request id", async () => {
    const refused = aRefusal(randomUUID(), { requestId: 'a "request" ✓' });
    const limited = aRefusal(refused.accountId, {
      code: "spend_limit",
      spendLimit: "5.000000000",
      spendPeriod: "day",
      spent: "4.999999999",
      reserved: "0.000000001",
      provider: null,
      model: null,
      price: null,
      estimate: null,
      createdAt: new Date(Date.now() - 60_000),
    });
    await insertRefusals(books.db, [limited, refused]);
    const [first, second, ...more] = await listRefusals(books.db, refused.accountId);
    expect([first, second, more]).toMatchObject([refused, limited, []]);
    expect(await findRefusals(books.db, refused.requestId)).toMatchObject([refused]);
    const since = { since: new Date(Date.now() - 30_000) };
    expect(await listRefusals(books.db, refused.accountId, since)).toMatchObject([refused]);
  });

  test("of a flood the newest 100 of each account stay, with four writers at once", async () => {
    const [noisy, quiet] = [randomUUID(), randomUUID()];
    await insertRefusals(books.db, [aRefusal(quiet)]);
    const batch = (writer: number, round: number) =>
      Array.from({ length: 90 }, (_, i) => aRefusal(noisy, { requestId: `${writer} ${round} ${i}` }));
    const write = async (writer: number) => {
      for (let round = 0; round < 5; round++) await insertRefusals(books.db, batch(writer, round));
    };
    await Promise.all([1, 2, 3, 4].map(write));
    await insertRefusals(books.db, [aRefusal(noisy, { requestId: "the last one" })]);
    const kept = await listRefusals(books.db, noisy);
    expect(kept).toHaveLength(REFUSALS_PER_ACCOUNT);
    expect(kept[0]?.requestId).toBe("the last one");
    expect(await listRefusals(books.db, quiet)).toHaveLength(1);
  });

  test("what is older than 30 days is removed, and nothing younger", async () => {
    const account = randomUUID();
    const aged = (days: number) => aRefusal(account, { createdAt: new Date(Date.now() - days * 24 * 3_600_000) });
    await insertRefusals(books.db, [aged(31), aged(30.01), aged(29.9), aged(0)]);
    expect(await removeOldRefusals(books.db)).toBe(2);
    expect(await listRefusals(books.db, account)).toHaveLength(2);
    expect(await removeOldRefusals(books.db)).toBe(0);
  });
});
