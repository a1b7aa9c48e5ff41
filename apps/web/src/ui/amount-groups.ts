// How an amount is laid out. The parts put together are the text that was given, to the last digit: groups are set apart by margins,
// never by characters, and nothing is ever turned into a number.

export type AmountParts = {
  /** "-", "+" or nothing. */
  sign: string;
  /** Digits before the point in threes, the first group shorter. */
  whole: string[];
  /** The point and the digits after it in threes: ".123", "456". */
  fraction: string[];
};

const DECIMAL = /^([+-]?)(\d+)(\.\d+)?$/;

/** What is no decimal is one group as it stands. */
export function amountParts(text: string): AmountParts {
  const found = DECIMAL.exec(text);
  if (found === null) return { sign: "", whole: [text], fraction: [] };
  const [, sign = "", digits = "", tail = ""] = found;
  const first = digits.length % 3;
  const whole = [digits.slice(0, first), ...(digits.slice(first).match(/\d{3}/g) ?? [])].filter((part) => part !== "");
  const fraction =
    tail === "" ? [] : (tail.slice(1).match(/\d{1,3}/g) ?? []).map((part, at) => (at === 0 ? `.${part}` : part));
  return { sign, whole, fraction };
}

/** in: more than zero, out: less, none: zero or no number. Read from the text. */
export function amountDirection(text: string): "in" | "out" | "none" {
  if (!DECIMAL.test(text) || !/[1-9]/.test(text)) return "none";
  return text.startsWith("-") ? "out" : "in";
}
