/**
 * Money is whole nanos (10⁻⁹ of a currency unit) in a `bigint`, and a decimal string at every border: Redis, JSON, SQL, CSV, the
 * screen. No amount ever becomes a `number`: 0.1 + 0.2 is exact here, and so is everything above 2⁵³ nanos (9,007,199.25 units).
 * Prices are finer than amounts: 12 decimals per token ("picos"). A cost is summed in picos and rounded once, half-even, to nanos.
 */
import { BillingError } from "./errors.ts";

export const NANOS_PER_UNIT = 1_000_000_000n;

/** The largest single amount, 999,999,999.999999999 units: what `numeric(18,9)` holds. */
export const MAX_AMOUNT_NANOS = 999_999_999_999_999_999n;

/** An account's credits stay below 9,000,000,000 units, so that its totals in nanos fit Redis' signed 64-bit integers. */
export const TOTAL_CREDITS_LIMIT_NANOS = 9_000_000_000_000_000_000n;

/** The largest number of either sign that any store of ours holds: Redis' integer commands end here. */
const INT64_MAX = 9_223_372_036_854_775_807n;

/** What a price column, `numeric(18,12)`, holds. */
const MAX_PRICE_PICOS = 999_999_999_999_999_999n;

const UNIT_DECIMALS = 9;
const PRICE_DECIMALS = 12;
const PICOS_PER_NANO = 1_000n;

/** A decimal text longer than this carries no amount: it is refused before any arithmetic is done on it. */
const MAX_TEXT_LENGTH = 64;

/** An amount as we write it ourselves. */
const ownPattern = /^-?\d{1,9}\.\d{9}$/;
const unitsPattern = /^([+-]?)(\d+)(?:\.(\d{1,9}))?$/;
const pricePattern = /^(\d+)(?:\.(\d{1,12}))?$/;
const floatPattern = /^([+-]?)(?:(\d+)(?:\.(\d*))?|\.(\d+))(?:[eE]([+-]?\d{1,6}))?$/;

/**
 * Units as decimal text to nanos: an optional sign, digits, at most 9 decimals; `"98.5"` → `98_500_000_000n`.
 * Throws `invalid_amount` for anything else and beyond ±(2⁶³ − 1) nanos; narrower limits are the caller's.
 */
export function parseUnits(text: string): bigint {
  const own = ownNanos(text);
  if (own !== undefined) return own;
  const match = typeof text === "string" && text.length <= MAX_TEXT_LENGTH ? unitsPattern.exec(text) : null;
  if (!match) throw invalidAmount(text, "is not a decimal number with at most 9 decimals");
  const [, sign, whole = "", fraction = ""] = match;
  const magnitude = BigInt(whole + fraction.padEnd(UNIT_DECIMALS, "0"));
  if (magnitude > INT64_MAX) throw invalidAmount(text, "is out of range");
  return sign === "-" ? -magnitude : magnitude;
}

/** Nanos to units with exactly 9 decimals: `98_500_000_000n` → `"98.500000000"`, `-1n` → `"-0.000000001"`. */
export function formatUnits(nanos: bigint): string {
  return formatDecimal(nanos, UNIT_DECIMALS);
}

/**
 * A cost as older producers write it, the text of a float (`0.0012000000000000001`, `1.5e-7`, `1E3`), to nanos: read exactly,
 * rounded half-even to a nano. Throws `invalid_amount` for NaN, Infinity, an empty or over-long text, a negative value (even one
 * that would round to zero), and for what is above 999,999,999.999999999 after rounding. `-0.0` is zero.
 */
export function parseCost(text: string): bigint {
  const own = ownNanos(text);
  if (own !== undefined && !text.startsWith("-")) return own;
  const nanos = scaleFloatText(text, UNIT_DECIMALS);
  if (nanos > MAX_AMOUNT_NANOS) throw invalidAmount(text, "is above 999,999,999.999999999");
  return nanos;
}

function ownNanos(text: string): bigint | undefined {
  if (typeof text !== "string" || !ownPattern.test(text)) return undefined;
  return BigInt(text.slice(0, -UNIT_DECIMALS - 1) + text.slice(-UNIT_DECIMALS));
}

/**
 * A float's text times 10^decimals, exact and rounded half-even once; for sources of numbers that are not decimal strings.
 * Throws `invalid_amount` for what is not the text of a finite, non-negative number of at most 64 characters.
 */
export function scaleFloatText(text: string, decimals: number): bigint {
  const match = typeof text === "string" && text.length <= MAX_TEXT_LENGTH ? floatPattern.exec(text) : null;
  if (!match) throw invalidAmount(text, "is not a number");
  const [, sign, whole = "", fractionAfterWhole, bareFraction, exponent = "0"] = match;
  const fraction = fractionAfterWhole ?? bareFraction ?? "";
  const digits = BigInt(whole + fraction);
  if (digits === 0n) return 0n;
  if (sign === "-") throw invalidAmount(text, "is negative");
  // The result is digits × 10^shift. Both ends are cut off before a power of ten is built from a hostile exponent.
  const shift = Number(exponent) - fraction.length + decimals;
  if (shift > MAX_TEXT_LENGTH) throw invalidAmount(text, "is out of range");
  if (shift < -2 * MAX_TEXT_LENGTH) return 0n;
  return shift >= 0 ? digits * 10n ** BigInt(shift) : divideHalfEven(digits, 10n ** BigInt(-shift));
}

/**
 * The price of one token (or request), at most 12 decimals, to picos: `"0.0000025"` → `2_500_000n`. Zero is a price.
 * Throws `invalid_amount` for a sign, an exponent, more decimals, or above 999,999.999999999999 (`numeric(18,12)`).
 */
export function parsePrice(text: string): bigint {
  const match = typeof text === "string" && text.length <= MAX_TEXT_LENGTH ? pricePattern.exec(text) : null;
  if (!match) throw invalidAmount(text, "is not a price with at most 12 decimals");
  const [, whole = "", fraction = ""] = match;
  const picos = BigInt(whole + fraction.padEnd(PRICE_DECIMALS, "0"));
  if (picos > MAX_PRICE_PICOS) throw invalidAmount(text, "is out of range");
  return picos;
}

/** Picos to a price with exactly 12 decimals: `2_500_000n` → `"0.000002500000"`. */
export function formatPrice(picos: bigint): string {
  return formatDecimal(picos, PRICE_DECIMALS);
}

/** The one rounding of a cost: picos, summed exactly, half-even to nanos. */
export function roundPicosToNanos(picos: bigint): bigint {
  return divideHalfEven(picos, PICOS_PER_NANO);
}

/** `numerator / denominator` (denominator above 0), a tie to the even neighbour: no drift when many costs are summed. */
export function divideHalfEven(numerator: bigint, denominator: bigint): bigint {
  const magnitude = numerator < 0n ? -numerator : numerator;
  const quotient = magnitude / denominator;
  const twice = (magnitude % denominator) * 2n;
  const roundsUp = twice > denominator || (twice === denominator && quotient % 2n === 1n);
  const rounded = roundsUp ? quotient + 1n : quotient;
  return numerator < 0n ? -rounded : rounded;
}

function formatDecimal(value: bigint, decimals: number): string {
  const digits = (value < 0n ? -value : value).toString().padStart(decimals + 1, "0");
  const point = digits.length - decimals;
  return `${value < 0n ? "-" : ""}${digits.slice(0, point)}.${digits.slice(point)}`;
}

function invalidAmount(text: unknown, complaint: string): BillingError {
  const shown = typeof text === "string" ? JSON.stringify(text.slice(0, MAX_TEXT_LENGTH)) : typeof text;
  return new BillingError("invalid_amount", `The amount ${shown} ${complaint}.`);
}
