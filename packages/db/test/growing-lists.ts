// The lists of the console over what grows with every charge, by each filter that they offer: the tests ask for their plans, the benchmark for
// their time.
import type { DeductionFilters, TrailFilters } from "../src/index.ts";
import type { FilledBooks } from "./fill-books.ts";

export const deductionFilters: DeductionFilters[] = [
  {},
  { model: "model-3" },
  { provider: "provider-1" },
  { provider: "provider-1", model: "model-1" },
  { provider: "nobody" },
  { virtualKey: "vk_0" },
  { virtualKey: "vk_0", model: "model-7" },
  { virtualKey: "vk_0", model: "nothing" },
  { balanceCheck: "ok" },
  { balanceCheck: "missing" },
  { balanceCheck: "mismatch" },
  { usageSource: "provider" },
  { usageSource: "estimated" },
  { usageSource: "unknown" },
  { settled: true },
  { settled: false },
  { customerTypeMismatch: true },
  { customerTypeMismatch: false },
  { olderProducer: true },
  { from: new Date(Date.now() - 40 * 86_400_000), to: new Date(Date.now() - 30 * 86_400_000) },
  { model: "model-3", from: new Date(Date.now() - 40 * 86_400_000), balanceCheck: "ok", settled: true },
  { provider: "provider-1", usageSource: "estimated", customerTypeMismatch: true },
];

/** Of accounts with many and few deductions, and of exact ids. */
export function namedDeductions(filled: FilledBooks): DeductionFilters[] {
  return [
    { accountId: filled.bigAccountId },
    { accountId: filled.smallAccountId },
    { accountId: filled.bigAccountId, model: "model-7" },
    { accountId: filled.smallAccountId, balanceCheck: "mismatch" },
    { accountId: filled.quietAccountId },
    { accountId: filled.quietAccountId, model: "nothing" },
    { virtualKey: "vk_9", model: "nothing" },
    { id: "req-77777" },
    { id: "500000" },
    { id: "not there" },
  ];
}

export const trailFilters: TrailFilters[] = [
  {},
  { category: "usage" },
  { category: "top_up" },
  { category: "refund" },
  { model: "model-7" },
  { model: "nothing" },
  { virtualKey: "vk_0" },
  { from: new Date(Date.now() - 40 * 86_400_000), to: new Date(Date.now() - 30 * 86_400_000) },
];
