import { randomUUID } from "node:crypto";
import { waitFor } from "@drawdown/local-stack";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  charge,
  createKey,
  freezeAccount,
  listKeys,
  listPriceRows,
  listProviders,
  loadPriceList,
  parseUnits,
  peekBalance,
  removePrice,
  removeProvider,
  resolvePrice,
  setCreditLimit,
  setPrice,
  setProvider,
  unfreezeAccount,
  updateKey,
} from "../src/index.ts";
import { anAct, UNIT } from "./replay-stage.ts";
import { aCharge, openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

const acts = () => stage.query<Record<string, unknown>>("SELECT * FROM data.operator_action ORDER BY started_at, id");

describe("accounts", () => {
  test("Rule 8: freezing and the credit limit are on record in the transaction of their effect, reach Redis, and happen once for one act", async () => {
    const account = await stage.account("2");
    const { billing } = stage;
    await charge(billing, aCharge(account, UNIT));
    stage.listener();
    const act = { ...anAct({ reason: "a stolen key" }), id: randomUUID() };
    // Two operators, or a double click: one effect.
    const frozen = await Promise.all([
      freezeAccount(billing, account.id, act),
      freezeAccount(billing, account.id, act),
    ]);
    expect(frozen.map(({ outcome }) => outcome).toSorted()).toEqual(["changed", "repeated"]);
    expect(await freezeAccount(billing, account.id, anAct())).toMatchObject({
      outcome: "unchanged",
      operationId: null,
    });
    await waitFor(async () => (await peekBalance(billing, account))?.status === "frozen", {
      timeoutMs: 20_000,
      what: "frozen in Redis",
    });
    expect(await charge(billing, aCharge(account, UNIT))).toMatchObject({ reason: "account_frozen" });
    expect(await acts()).toMatchObject([
      {
        id: act.id,
        actor: "tester",
        action: "freeze",
        reason: "a stolen key",
        targets: [account.id],
        before: { status: "active" },
        after: { status: "frozen" },
        result: { account_id: account.id, status: "frozen" },
        finished_at: expect.any(Date),
      },
    ]);
    const audit =
      "SELECT amount, reason, actor FROM data.account_balance_audit WHERE account_id = $1 AND credits_version = 2";
    expect(await stage.query(audit, [account.id])).toEqual([
      { amount: "0.000000000", reason: "status active -> frozen: a stolen key", actor: "tester" },
    ]);

    expect(await unfreezeAccount(billing, account.id, anAct())).toMatchObject({ account: { status: "active" } });
    expect(await setCreditLimit(billing, account.id, parseUnits("7.5"), anAct())).toMatchObject({
      outcome: "changed",
      account: { creditLimit: "7.500000000" },
    });
    await waitFor(async () => (await peekBalance(billing, account))?.limitNanos === parseUnits("7.5"), {
      timeoutMs: 20_000,
      what: "the limit in Redis",
    });
    expect(await charge(billing, aCharge(account, 8n * UNIT))).toMatchObject({ outcome: "charged" });
    expect((await acts()).map(({ action }) => action)).toEqual(["freeze", "unfreeze", "credit_limit"]);

    expect(await freezeAccount(billing, randomUUID(), anAct())).toEqual({ outcome: "unknown_account" });
    expect(await freezeAccount(billing, "no id", anAct())).toEqual({ outcome: "unknown_account" });
    const tooMuch = [parseUnits("999999999"), parseUnits("9199999999")];
    expect(await setCreditLimit(billing, account.id, tooMuch[1] ?? 0n, anAct())).toMatchObject({ reason: "too_much" });
    await expect(setCreditLimit(billing, account.id, -1n, anAct())).rejects.toMatchObject({ code: "invalid_amount" });
    await expect(freezeAccount(billing, account.id, anAct({ reason: " " }))).rejects.toMatchObject({
      code: "invalid_request",
    });
    await expect(unfreezeAccount(billing, account.id, act)).rejects.toMatchObject({ code: "invalid_request" });
    expect(await acts()).toHaveLength(3);
  });
});

describe("keys", () => {
  test("Rule 8: a key's name and limits are changed and cleared as an act; a revoked key stays as it was", async () => {
    const { billing } = stage;
    const account = await stage.account("2");
    const made = { ...anAct(), id: randomUUID() };
    const created = await createKey(billing, { accountId: account.id, name: "first", requestsPerMinute: 5 }, made);
    if (created.outcome !== "created") throw new Error(created.outcome);
    const { virtualKey } = created.key;
    expect(await createKey(billing, { accountId: account.id }, made)).toMatchObject({
      outcome: "repeated",
      key: { virtualKey },
    });
    const act = { ...anAct(), id: randomUUID() };
    const changes = {
      name: "second",
      requestsPerMinute: null,
      spendLimit: { period: "month" as const, limitNanos: 5n * UNIT },
      allowedModels: ["gpt-4o*"],
      holdPolicy: "worst_case" as const,
    };
    const wanted = {
      name: "second",
      requestsPerMinute: null,
      spendLimit: "5.000000000",
      spendPeriod: "month",
      allowedModels: ["gpt-4o*"],
      holdPolicy: "worst_case",
      leavePolicy: null,
    };
    expect(await updateKey(billing, virtualKey, changes, act)).toMatchObject({ outcome: "updated", key: wanted });
    expect(await updateKey(billing, virtualKey, { name: "third" }, act)).toMatchObject({
      outcome: "repeated",
      key: wanted,
    });
    expect(await updateKey(billing, virtualKey, changes, anAct())).toMatchObject({ outcome: "unchanged" });
    const cleared = { spendLimit: null, allowedModels: null, holdPolicy: null, name: null };
    expect(await updateKey(billing, virtualKey, cleared, anAct())).toMatchObject({
      outcome: "updated",
      key: { name: null, spendLimit: null, spendPeriod: null, allowedModels: null, holdPolicy: null },
    });
    expect(await acts()).toMatchObject([
      { action: "create_key" },
      { action: "update_key", targets: [virtualKey], before: { name: "first" }, after: { name: "second" } },
      { action: "update_key", before: { name: "second" }, after: { name: null } },
    ]);
    expect(JSON.stringify(await acts())).not.toContain("secret");
    await expect(updateKey(billing, virtualKey, { requestsPerMinute: 0 }, anAct())).rejects.toMatchObject({
      code: "invalid_request",
    });
    await stage.query("UPDATE data.virtual_key SET status = 'revoked'");
    expect(await updateKey(billing, virtualKey, { name: "x" }, anAct())).toMatchObject({ outcome: "revoked" });
    expect(await updateKey(billing, "vk_none", { name: "x" }, anAct())).toEqual({ outcome: "unknown_key" });
    expect(await listKeys(billing)).toMatchObject([{ virtualKey, name: null, status: "revoked" }]);
  });
});

describe("prices and providers", () => {
  test("Rule 8: a price is a new row from its moment on; one from which no cost can follow is refused in words; removed, the older one holds", async () => {
    const { billing } = stage;
    const price = { provider: "acme", model: "m1", priceModel: "per_token" as const, tokenPrice: "0.000002" };
    const act = { ...anAct(), id: randomUUID() };
    const first = await setPrice(billing, { ...price, validFrom: new Date("2026-01-01T00:00:00Z") }, act);
    expect(first).toMatchObject({ outcome: "set", price: { tokenPrice: "0.000002000000", source: "operator" } });
    expect(await setPrice(billing, { ...price, validFrom: new Date("2026-01-01T00:00:00Z") }, act)).toEqual({
      ...first,
      outcome: "repeated",
    });
    const second = await setPrice(billing, { ...price, tokenPrice: "0.000003" }, anAct());
    if (second.outcome !== "set") throw new Error(JSON.stringify(second));
    const now = async () =>
      resolvePrice(await loadPriceList(stage.db), {
        provider: "acme",
        model: "m1",
        customerTypeId: null,
        currency: "USD",
        at: new Date(),
      })?.price.rates.token;
    expect(await now()).toBe(3_000_000n);
    expect(await listPriceRows(billing, { provider: "acme" })).toMatchObject([
      { id: second.price.id, tokenPrice: "0.000003000000" },
      { tokenPrice: "0.000002000000" },
    ]);
    expect(await listPriceRows(billing, { model: "M" }, { after: second.price.id })).toHaveLength(1);
    const refused = (more: object) => setPrice(billing, { ...price, ...more }, anAct());
    expect(await refused({ priceModel: "per_request" })).toMatchObject({
      reason: "incomplete",
      constraint: "model_price_complete_check",
    });
    expect(await refused({ validFrom: new Date("2026-01-01T00:00:00Z") })).toMatchObject({ reason: "taken" });
    expect(await refused({ customerTypeId: randomUUID() })).toMatchObject({ reason: "unknown_customer_type" });
    expect(await refused({ tokenPrice: "0.0000000000001" })).toMatchObject({ reason: "invalid" });
    expect(await refused({ tokenPrice: "-1" })).toMatchObject({ reason: "invalid" });
    expect(await refused({ match: { regex: "(" } })).toMatchObject({ reason: "invalid" });
    expect(await refused({ window: { start: "25:00", end: "26:00" } })).toMatchObject({ reason: "invalid" });
    expect(await acts()).toHaveLength(2);

    const gone = { ...anAct(), id: randomUUID() };
    expect(await removePrice(billing, second.price.id, gone)).toMatchObject({ outcome: "removed" });
    expect(await removePrice(billing, second.price.id, gone)).toMatchObject({
      outcome: "repeated",
      price: second.price,
    });
    expect(await removePrice(billing, second.price.id, anAct())).toEqual({ outcome: "unknown_price" });
    expect(await now()).toBe(2_000_000n);
    expect(await acts()).toMatchObject([
      { action: "set_price", targets: ["acme/m1"], before: null, after: { tokenPrice: "0.000002000000" } },
      { action: "set_price" },
      { action: "remove_price", before: { tokenPrice: "0.000003000000" }, after: null },
    ]);
  });

  test("Rule 8: a provider is set and removed as an act, and its key is never kept", async () => {
    const { billing } = stage;
    const provider = { name: "acme", baseUrl: "https://api.acme.test/v1", shape: "openai" as const };
    expect(await setProvider(billing, { ...provider, apiKeyEnv: "ACME_KEY" }, anAct())).toMatchObject({
      outcome: "set",
    });
    expect(await setProvider(billing, { ...provider, apiKeyEnv: "ACME_KEY" }, anAct())).toMatchObject({
      outcome: "unchanged",
    });
    const pasted = await setProvider(billing, { ...provider, apiKeyEnv: "sk-live-1234" }, anAct());
    expect(pasted).toMatchObject({ outcome: "refused", message: expect.stringContaining("environment variable") });
    const inUrl = await setProvider(billing, { ...provider, baseUrl: "https://me:secret@acme.test" }, anAct());
    expect(inUrl).toMatchObject({ outcome: "refused" });
    expect(await setProvider(billing, { ...provider, baseUrl: "ftp://acme.test" }, anAct())).toMatchObject({
      outcome: "refused",
    });
    expect(await listProviders(billing)).toMatchObject([{ ...provider, apiKeyEnv: "ACME_KEY" }]);
    const act = { ...anAct(), id: randomUUID() };
    expect(await removeProvider(billing, "acme", act)).toMatchObject({ outcome: "removed" });
    expect(await removeProvider(billing, "acme", act)).toMatchObject({ outcome: "repeated", provider });
    expect(await removeProvider(billing, "acme", anAct())).toEqual({ outcome: "unknown_provider" });
    expect(await acts()).toMatchObject([
      { action: "set_provider", targets: ["acme"], before: null, after: { apiKeyEnv: "ACME_KEY" } },
      { action: "remove_provider", before: { name: "acme" } },
    ]);
  });
});
