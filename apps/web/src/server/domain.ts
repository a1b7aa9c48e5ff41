// The domain as Node runs it. Its packages are TypeScript that reads its Lua and SQL files beside it: bundled, they would not find them. So
// they are imported past the bundler; types are imported as anywhere.

/** packages/billing */
export const domain: typeof import("@drawdown/billing") = await import(/* turbopackIgnore: true */ "@drawdown/billing");

/** packages/db */
export const books: typeof import("@drawdown/db") = await import(/* turbopackIgnore: true */ "@drawdown/db");
