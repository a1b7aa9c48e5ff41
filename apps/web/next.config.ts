import { join } from "node:path";
import type { NextConfig } from "next";

// The workspace root, named because Next would otherwise guess it from lockfiles in folders above.
const root = join(import.meta.dirname, "../..");

const config: NextConfig = {
  outputFileTracingRoot: root,
  turbopack: {
    root,
    // Texts reach the browser compiled (src/console/messages.ts): it needs no parser of them.
    resolveAlias: { "use-intl/format-message": "use-intl/format-message/format-only" },
  },
  poweredByHeader: false,
  reactStrictMode: true,
  devIndicators: false,
};

export default config;
