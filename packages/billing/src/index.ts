export { BillingError, type BillingErrorCode, type BillingErrorOptions } from "./errors.ts";
export {
  formatPrice,
  formatUnits,
  MAX_AMOUNT_NANOS,
  NANOS_PER_UNIT,
  parseCost,
  parsePrice,
  parseUnits,
  TOTAL_CREDITS_LIMIT_NANOS,
} from "./money.ts";
