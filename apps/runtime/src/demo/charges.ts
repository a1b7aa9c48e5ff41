/** What the demo's customers used: days of an older producer's traffic, and calls of now with all that ours have. */
import {
  type Billing,
  charge,
  costOf,
  formatUnits,
  loadPriceList,
  openHold,
  type PriceList,
  parseUnits,
  resolvePrice,
} from "@drawdown/billing";
import { insertRefusals } from "@drawdown/db";
import { busy, type Customer, hostile, poor, rich } from "./customers.ts";
import { append, type OlderEntry } from "./entries.ts";

const models = [
  ["openai", "gpt-4o-mini"],
  ["openai", "gpt-4o"],
  ["anthropic", "claude-sonnet-4-5"],
  ["anthropic", "claude-3-5-haiku-latest"],
  ["google", "gemini-2.5-flash"],
  ["mistral", "mistral-small-latest"],
] as const;

const pastCharges = 240;
const pastDays = 12;
const dayMs = 86_400_000;
const chargesOfNow = 60;
const holdMs = 20 * 3_600_000;
/** Markup, quotes and a right-to-left override; still shorter than a text may be. */
const hostileModel = `</script><script>alert("model")</script>\u202Egpt`;

type Call = { provider: string; model: string; inputTokens: number; outputTokens: number };

/** Each number its own call, the same at every run. */
function callOf(number: number): Call {
  const [provider, model] = models[(number * 7) % models.length] ?? models[0];
  return { provider, model, inputTokens: 200 + ((number * 137) % 3_800), outputTokens: 20 + ((number * 53) % 900) };
}

function priced(list: PriceList, { provider, model, inputTokens, outputTokens }: Call) {
  const price = resolvePrice(list, { provider, model, customerTypeId: null, currency: "USD", at: new Date() })?.price;
  if (price === undefined) return { costNanos: parseUnits("0.0042"), metadata: {} };
  const totalTokens = inputTokens + outputTokens;
  const usage = {
    inputTokens,
    outputTokens,
    totalTokens,
    cachedInputTokens: 0,
    cacheWriteTokens: 0,
    reasoningTokens: 0,
  };
  const { costNanos, explanation } = costOf(price, usage);
  return { costNanos, metadata: { price_id: explanation.price_id } };
}

function pick<T>(from: readonly [T, ...T[]] | readonly T[], number: number): T {
  const found = from[number % from.length];
  if (found === undefined) throw new TypeError("nothing to pick from");
  return found;
}

/** Appends the past, unless it is in the books. An older producer's entries say themselves when they were: ours say it in Redis. */
export async function chargePast(billing: Billing): Promise<void> {
  if (await isBooked(billing, "deduction_id LIKE 'ded_demo_past_%'")) return;
  const list = await loadPriceList(billing.db);
  const now = Date.now();
  const entries = Array.from({ length: pastCharges }, (_, number): OlderEntry => {
    const { account, keys } = pick(busy, number);
    const call = callOf(number);
    return {
      ...call,
      deductionId: `ded_demo_past_${number}`,
      accountId: account.id,
      virtualKey: pick(keys, Math.floor(number / 3)),
      cost: formatUnits(priced(list, call).costNanos),
      // Busier by day, and a little more each day.
      at: new Date(now - dayMs * pastDays * (1 - Math.sqrt((number + 1) / (pastCharges + 1)))),
    };
  });
  await append(billing, entries);
}

/** Charges of now, through the function that gateways call. */
export async function chargeNow(billing: Billing): Promise<void> {
  if (await isBooked(billing, "request_id LIKE 'demo-charge-%'")) return;
  const list = await loadPriceList(billing.db);
  const customers = [...busy, rich];
  for (let number = 0; number < chargesOfNow; number++) {
    const call = callOf(number + 1_000);
    await chargeOnce(billing, pick(customers, number), `demo-charge-${number}`, { ...call, ...priced(list, call) });
  }
  const attack = { provider: "openai", model: hostileModel, inputTokens: 10, outputTokens: 5, metadata: {} };
  await chargeOnce(billing, hostile, "demo-charge-hostile", { ...attack, costNanos: parseUnits("0.5") });
}

/** What is set aside for calls that are under way. */
export async function holdSome(billing: Billing): Promise<void> {
  for (const [number, { account, keys }] of busy.entries()) {
    await openHold(billing, {
      account,
      virtualKey: pick(keys, 0),
      requestId: `demo-hold-${number}`,
      digest: "demo",
      amountNanos: parseUnits(`${number + 1}.25`),
      ttlMs: holdMs,
      provider: "openai",
      model: "gpt-4o",
    });
  }
}

/** A call that costs more than there is, with the figures that refused it, as a gateway keeps them. */
export async function refuseOne(billing: Billing): Promise<void> {
  const requestId = "demo-refused";
  const known = await billing.query("SELECT 1 FROM data.refusal WHERE request_id = $1", [requestId]);
  if (known.length > 0) return;
  const call = { provider: "openai", model: "gpt-4o", inputTokens: 90_000, outputTokens: 8_000, metadata: {} };
  const outcome = await chargeOnce(billing, poor, requestId, { ...call, costNanos: parseUnits("0.305") });
  if (outcome.outcome !== "refused") return;
  const { balanceNanos, heldNanos, availableNanos, requiredNanos } = outcome;
  await insertRefusals(billing.db, [
    {
      createdAt: new Date(),
      accountId: poor.account.id,
      virtualKey: pick(poor.keys, 0),
      requestId,
      code: "insufficient_balance",
      provider: call.provider,
      model: call.model,
      currency: "USD",
      balance: formatUnits(balanceNanos),
      held: formatUnits(heldNanos),
      creditLimit: formatUnits(availableNanos + heldNanos - balanceNanos),
      required: formatUnits(requiredNanos),
      ...{ spendLimit: null, spendPeriod: null, spent: null, reserved: null, price: null },
      estimate: { input_tokens: call.inputTokens, output_tokens: call.outputTokens },
    },
  ]);
}

type Priced = Call & { costNanos: bigint; metadata: Record<string, unknown> };

async function chargeOnce(billing: Billing, { account, keys }: Customer, requestId: string, call: Priced) {
  return await charge(billing, {
    ...call,
    account,
    virtualKey: pick(keys, 0),
    requestId,
    digest: "demo",
    usageSource: "reported",
  });
}

async function isBooked(billing: Billing, condition: string): Promise<boolean> {
  return (await billing.query(`SELECT 1 FROM data.usage_log WHERE ${condition} LIMIT 1`)).length > 0;
}
