// JSON made readable without being read: digits beyond 2⁵³ and the order of keys stay as they stand.

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gy;

/** The same JSON, two spaces a level. What is no JSON comes back as it is. */
export function indentJson(text: string): string {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  const out: string[] = [];
  let depth = 0;
  let last = "";
  for (const [token] of text.matchAll(new RegExp(TOKEN, "g"))) {
    const closes = token === "}" || token === "]";
    if (closes) depth -= 1;
    const empty = closes && (last === "{" || last === "[");
    if ((closes && !empty) || (!closes && (last === "{" || last === "[" || last === ","))) {
      if (last !== "") out.push(`\n${"  ".repeat(depth)}`);
    }
    out.push(token === ":" ? ": " : token);
    if (token === "{" || token === "[") depth += 1;
    last = token;
  }
  return out.join("");
}

/** Any value of superjson's kind as readable JSON: bigints as their digits, dates as ISO text. */
export function jsonText(value: unknown): string {
  return (
    JSON.stringify(value, (_key, part: unknown) => (typeof part === "bigint" ? String(part) : part), 2) ?? "undefined"
  );
}
