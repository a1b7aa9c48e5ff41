import { randomUUID } from "node:crypto";
import { waitFor } from "@drawdown/local-stack";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findAccount, findVirtualKey, listen, modelPrice, putVirtualKey, revokeVirtualKey } from "../src/index.ts";
import { type Books, newAccount, openBooks } from "./books.ts";

let books: Books;
beforeAll(async () => {
  books = await openBooks();
});
afterAll(() => books.close());

/** A tenant with a customer type of its own, two users and an account. */
async function newTenant() {
  const { rows } = books;
  const one = async (sql: string, values: unknown[] = []) => (await rows<{ id: string }>(sql, values))[0]?.id ?? "";
  const customerTypeId = await one("INSERT INTO data.customer_type (name) VALUES ($1) RETURNING id", [randomUUID()]);
  const tenantId = await one("INSERT INTO data.tenant (name, customer_type_id) VALUES ('t', $1) RETURNING id", [
    customerTypeId,
  ]);
  const userId = await one("INSERT INTO data.user_profile (tenant_id) VALUES ($1) RETURNING id", [tenantId]);
  const accountId = await one(
    "INSERT INTO data.account_balance (owner_tenantid, balance) VALUES ($1, 7) RETURNING id",
    [tenantId],
  );
  const virtualKey = `vk_${userId.slice(0, 8)}`;
  await putVirtualKey(books.db, { virtualKey, secretSha256: "a".repeat(64), userId });
  return { customerTypeId, tenantId, userId, accountId, virtualKey };
}

describe("Rule: a key's user who has a tenant is billed to the tenant's account, else to his own", () => {
  test("a user's key", async () => {
    const account = await newAccount(books, "3");
    expect(await findVirtualKey(books.db, account.virtualKey)).toEqual({
      virtualKey: account.virtualKey,
      secretSha256: null,
      revokedAt: null,
      expiresAt: null,
      allowedModels: null,
      spendLimit: null,
      spendPeriod: null,
      requestsPerMinute: null,
      holdPolicy: null,
      leavePolicy: null,
      userId: account.ownerId,
      customerTypeId: null,
      accountBalanceId: account.id,
      ownerId: account.ownerId,
      accountType: "user",
      currency: "USD",
      accountCustomerTypeId: null,
    });
    expect(
      await books.rows("SELECT * FROM data.billing_accounts WHERE virtual_key = $1", [account.virtualKey]),
    ).toEqual([
      {
        virtual_key: account.virtualKey,
        account_balance_id: account.id,
        account_id: account.ownerId,
        account_type: "user",
        customer_type_id: null,
        balance: "3.000000000",
        overdue_amount: "0.000000000",
      },
    ]);
  });

  test("a tenant's user, also when he has an account of his own, and with a customer type of his own", async () => {
    const tenant = await newTenant();
    await books.rows("INSERT INTO data.account_balance (owner_userid, balance) VALUES ($1, 99)", [tenant.userId]);
    expect(await findVirtualKey(books.db, tenant.virtualKey)).toMatchObject({
      customerTypeId: tenant.customerTypeId,
      accountBalanceId: tenant.accountId,
      ownerId: tenant.tenantId,
      accountType: "tenant",
      accountCustomerTypeId: tenant.customerTypeId,
    });
    const [own] = await books.rows<{ id: string }>("INSERT INTO data.customer_type (name) VALUES ($1) RETURNING id", [
      randomUUID(),
    ]);
    await books.rows("UPDATE data.user_profile SET customer_type_id = $2 WHERE id = $1", [tenant.userId, own?.id]);
    expect(await findVirtualKey(books.db, tenant.virtualKey)).toMatchObject({
      customerTypeId: own?.id,
      accountCustomerTypeId: tenant.customerTypeId,
    });
    expect(
      await books.rows("SELECT user_id, tenant_id FROM data.virtual_keys WHERE virtual_key = $1", [tenant.virtualKey]),
    ).toEqual([{ user_id: tenant.userId, tenant_id: tenant.tenantId }]);
    expect(await books.rows("SELECT * FROM data.account_balances WHERE id = $1", [tenant.accountId])).toEqual([
      { id: tenant.accountId, owner_userid: null, owner_tenantid: tenant.tenantId, balance: "7.000000000" },
    ]);
  });

  test("a tenant without an account does not make its user pay", async () => {
    const { id, ownerId, virtualKey } = await newAccount(books, "3");
    const [tenant] = await books.rows<{ id: string }>("INSERT INTO data.tenant (name) VALUES ('t') RETURNING id");
    await books.rows("UPDATE data.user_profile SET tenant_id = $2 WHERE id = $1", [ownerId, tenant?.id]);
    expect(await findVirtualKey(books.db, virtualKey)).toBeUndefined();
    await books.rows("UPDATE data.user_profile SET tenant_id = NULL WHERE id = $1", [ownerId]);
    expect(await findVirtualKey(books.db, virtualKey)).toMatchObject({ accountBalanceId: id });
  });

  test("an unknown key, and a key that nobody pays for, is not found", async () => {
    const [user] = await books.rows<{ id: string }>("INSERT INTO data.user_profile (name) VALUES ('u') RETURNING id");
    await books.rows("INSERT INTO data.virtual_key (virtual_key, user_id) VALUES ('vk_unpaid', $1)", [user?.id]);
    expect(await findVirtualKey(books.db, "vk_unpaid")).toBeUndefined();
    expect(await findVirtualKey(books.db, "vk_nobody")).toBeUndefined();
  });

  test("an account is found by its id and by its owner's, and nothing else is an account", async () => {
    const account = await newAccount(books, "3");
    for (const id of [account.id, account.ownerId, account.id.toUpperCase()])
      expect(await findAccount(books.db, id)).toMatchObject({
        id: account.id,
        ownerId: account.ownerId,
        creditsVersion: 1n,
      });
    for (const id of [randomUUID(), "", "vk_1", "' OR true --"])
      expect(await findAccount(books.db, id)).toBeUndefined();
  });
});

describe("Rule: a key is revoked by either of its columns, and its secret is never stored", () => {
  const read = (key: string) =>
    books.rows<{ status: string; revoked: boolean }>(
      "SELECT status, revoked_at IS NOT NULL AS revoked FROM data.virtual_key WHERE virtual_key = $1",
      [key],
    );

  test("status and revoked_at follow each other, there and back", async () => {
    const { virtualKey } = await newAccount(books);
    const set = (change: string) =>
      books.rows(`UPDATE data.virtual_key SET ${change} WHERE virtual_key = $1`, [virtualKey]);
    const revoked = [{ status: "revoked", revoked: true }];
    const active = [{ status: "active", revoked: false }];
    await set("status = 'revoked'");
    expect(await read(virtualKey)).toEqual(revoked);
    await set("name = 'renamed'");
    expect(await read(virtualKey)).toEqual(revoked);
    await set("status = 'active'");
    expect(await read(virtualKey)).toEqual(active);
    await set("revoked_at = now()");
    expect(await read(virtualKey)).toEqual(revoked);
    await set("revoked_at = NULL");
    expect(await read(virtualKey)).toEqual(active);
    expect(await revokeVirtualKey(books.db, virtualKey)).toBe(true);
    expect(await read(virtualKey)).toEqual(revoked);
    expect(await revokeVirtualKey(books.db, "vk_nobody")).toBe(false);
  });

  test("a new secret voids the old one and does not revive a revoked key; only a hash is taken", async () => {
    const { virtualKey, ownerId } = await newAccount(books);
    await revokeVirtualKey(books.db, virtualKey);
    await putVirtualKey(books.db, { virtualKey, secretSha256: "b".repeat(64), userId: ownerId });
    expect(await findVirtualKey(books.db, virtualKey)).toMatchObject({ secretSha256: "b".repeat(64) });
    expect(await read(virtualKey)).toEqual([{ status: "revoked", revoked: true }]);
    expect(
      await books.refusal("UPDATE data.virtual_key SET secret_sha256 = 'a secret' WHERE virtual_key = $1", [
        virtualKey,
      ]),
    ).toMatchObject({ constraint: "virtual_key_secret_sha256_check" });
  });

  test("limits that cannot be kept are refused when they are written, and what is written is found", async () => {
    const { virtualKey } = await newAccount(books);
    const set = (change: string) => `UPDATE data.virtual_key SET ${change} WHERE virtual_key = '${virtualKey}'`;
    for (const [change, constraint] of [
      ["spend_limit = 5", "spend_period"],
      ["spend_period = 'day'", "spend_period"],
      ["spend_limit = 5, spend_period = 'year'", "spend_period"],
      ["spend_limit = -1, spend_period = 'day'", "spend_limit"],
      ["spend_limit = 'NaN', spend_period = 'day'", "spend_limit"],
      ["requests_per_minute = 0", "requests_per_minute"],
      ["requests_per_minute = 100001", "requests_per_minute"],
      ["hold_policy = 'none'", "hold_policy"],
      ["leave_policy = 'none'", "leave_policy"],
      ["allowed_models = '{}'", "allowed_models"],
      ["allowed_models = '{gpt-4o,NULL}'", "allowed_models"],
    ] as const)
      expect(await books.refusal(set(change))).toMatchObject({ constraint: `virtual_key_${constraint}_check` });
    await books.rows(
      set("spend_limit = 0, spend_period = 'week', requests_per_minute = 1, allowed_models = '{gpt-4o,claude-*}'"),
    );
    expect(await findVirtualKey(books.db, virtualKey)).toMatchObject({
      allowedModels: ["gpt-4o", "claude-*"],
      spendLimit: "0.000000000",
      spendPeriod: "week",
      requestsPerMinute: 1,
    });
  });

  test("a provider's key is not taken where the name of its variable belongs", async () => {
    const insert = (env: string) =>
      `INSERT INTO data.provider (name, base_url, shape, api_key_env) VALUES ('p${env.length}', 'https://x.example', 'openai', '${env}')`;
    await books.rows(insert("OPENAI_API_KEY"));
    expect(await books.refusal(insert(`sk-${"a".repeat(40)}`))).toMatchObject({
      constraint: "provider_api_key_env_check",
    });
  });
});

describe("Rule: a price row from which no cost can follow is refused when it is written", () => {
  const insert = (columns: Record<string, unknown>) => {
    const all = { provider: "p", model: randomUUID(), ...columns };
    const names = Object.keys(all);
    return [
      `INSERT INTO data.model_price (${names.join(", ")}) VALUES (${names.map((_, n) => `$${n + 1}`).join(", ")})`,
      Object.values(all),
    ] as const;
  };

  test("a price of its kind is needed, and every price is a number from 0 on", async () => {
    for (const columns of [
      { price_model: "per_token" },
      { price_model: "per_token", input_price: "1", output_price: "1" },
      { price_model: "per_input_output", input_price: "1" },
      { price_model: "per_input_output", output_price: "1" },
      { price_model: "per_request", token_price: "1" },
      { price_model: "per_mile", request_price: "1" },
    ])
      expect({ ...columns, code: (await books.refusal(...insert(columns))).code }).toEqual({
        ...columns,
        code: "23514",
      });
    expect((await books.refusal(...insert({ request_price: "1" }))).code).toBe("23502");
    for (const price of ["NaN", "-0.000000000001", "Infinity", "1000000"])
      expect((await books.refusal(...insert({ price_model: "per_request", request_price: price }))).code).toMatch(
        /^23514|22003$/,
      );
    await books.rows(...insert({ price_model: "per_token", token_price: "0.000000000001" }));
    await books.rows(...insert({ price_model: "per_token", token_price: "0" }));
    await books.rows(...insert({ price_model: "per_input_output", input_price: "0.0000025", output_price: "0" }));
  });

  test("tiers are rows with a bound and decimal strings", async () => {
    const tiers = (value: unknown) =>
      insert({ price_model: "per_input_output", input_price: "1", output_price: "1", tiers: JSON.stringify(value) });
    await books.rows(...tiers([{ above_input_tokens: 200000, input_price: "0.000006", output_price: "0.0000225" }]));
    await books.rows(...tiers([]));
    for (const bad of [
      {},
      [{}],
      [{ input_price: "1" }],
      [{ above_input_tokens: "200000", input_price: "1" }],
      [{ above_input_tokens: -1, input_price: "1" }],
      [{ above_input_tokens: 1, input_price: 1 }],
      [{ above_input_tokens: 1, input_price: "1e-6" }],
      [{ above_input_tokens: 1, output_price: "-1" }],
    ])
      expect([bad, (await books.refusal(...tiers(bad))).constraint]).toEqual([bad, "model_price_tiers_check"]);
  });

  test("one row for a model, customer type, currency, day and hour; null is one customer type", async () => {
    const model = randomUUID();
    const row = { model, price_model: "per_request", request_price: "1" };
    await books.rows(...insert(row));
    expect(await books.refusal(...insert(row))).toMatchObject({ constraint: "model_price_key" });
    await books.rows(...insert({ ...row, window_start: "00:30", window_end: "16:30" }));
    await books.rows(...insert({ ...row, currency: "EUR" }));
    await books.rows(...insert({ ...row, valid_from: "2026-01-01" }));
    expect(await books.refusal(...insert({ ...row, window_start: "01:00" }))).toMatchObject({
      constraint: "model_price_window_check",
    });
    const stored = await books.db.select().from(modelPrice);
    expect(stored.filter((price) => price.model === model)).toHaveLength(4);
  });
});

describe("Rule: what gateways remember is invalidated at once", () => {
  test("keys, users, tenants, accounts, prices and providers tell their channels", async () => {
    const heard: string[] = [];
    const stop = new AbortController();
    const connected = Promise.withResolvers<void>();
    const listening = listen(books.url, ["virtual_key_updated", "model_price_updated"], {
      signal: stop.signal,
      onNotification: (channel, payload) => heard.push(`${channel} ${payload}`),
      onConnected: () => connected.resolve(),
    });
    await connected.promise;
    const expectHeard = async (sql: string, values: unknown[], expected: string[]) => {
      heard.length = 0;
      await books.rows(sql, values);
      await waitFor(() => heard.length >= expected.length, { timeoutMs: 5_000, what: `${sql} to be heard` });
      expect([sql, ...heard]).toEqual([sql, ...expected]);
    };
    const tenant = await newTenant();
    const key = `virtual_key_updated ${tenant.virtualKey}`;
    await waitFor(() => heard.includes(key), { timeoutMs: 5_000, what: "the new key" });
    await expectHeard(
      "UPDATE data.virtual_key SET status = 'revoked' WHERE virtual_key = $1",
      [tenant.virtualKey],
      [key],
    );
    await expectHeard("UPDATE data.tenant SET customer_type_id = NULL WHERE id = $1", [tenant.tenantId], [key]);
    await expectHeard("UPDATE data.account_balance SET currency = 'EUR' WHERE id = $1", [tenant.accountId], [key]);
    await expectHeard("UPDATE data.user_profile SET tenant_id = NULL WHERE id = $1", [tenant.userId], [key]);
    await expectHeard("INSERT INTO data.account_balance (owner_userid) VALUES ($1)", [tenant.userId], [key]);
    await expectHeard("DELETE FROM data.virtual_key WHERE virtual_key = $1", [tenant.virtualKey], [key]);
    await expectHeard(
      "INSERT INTO data.model_price (provider, model, price_model, request_price) VALUES ('p', 'm', 'per_request', 1)",
      [],
      ['model_price_updated {"provider" : "p", "model" : "m"}'],
    );
    await expectHeard(
      "UPDATE data.model_price SET model = 'n' WHERE model = 'm'",
      [],
      [
        'model_price_updated {"provider" : "p", "model" : "m"}',
        'model_price_updated {"provider" : "p", "model" : "n"}',
      ],
    );
    await expectHeard(
      "INSERT INTO data.provider (name, base_url, shape) VALUES ('p', 'http://x', 'openai')",
      [],
      ['model_price_updated {"provider" : "p", "model" : null}'],
    );
    stop.abort();
    await listening;
  });
});
