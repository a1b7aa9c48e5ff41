import "@fontsource-variable/inter/wght.css";
import { CSPProvider } from "@base-ui/react/csp-provider";
import type { Metadata, Viewport } from "next";
import { NuqsAdapter } from "nuqs/adapters/next/app";
import type { ReactNode } from "react";
import { messagesOf } from "@/console/messages.ts";
import { PreferencesProvider } from "@/console/preferences-provider.tsx";
import { readPreferences, readServedAt } from "@/console/preferences-server.ts";
import { ProceduresProvider } from "@/trpc/provider.tsx";
import { ToastRegion } from "@/ui/toast.tsx";
import { TooltipLayer } from "@/ui/tooltip.tsx";
import "./globals.css";

export const metadata: Metadata = {
  title: { default: "Drawdown", template: "%s · Drawdown" },
  description: "Where every balance is explained, from the deduction in Redis to the row in Postgres.",
  robots: { index: false, follow: false },
};

export const dynamic = "force-dynamic";

export const viewport: Viewport = {
  themeColor: [
    { media: "(prefers-color-scheme: light)", color: "#f6f7f9" },
    { media: "(prefers-color-scheme: dark)", color: "#0d1014" },
  ],
};

export default async function RootLayout({ children }: { children: ReactNode }) {
  const preferences = await readPreferences();
  const { theme, language } = preferences;
  return (
    <html lang={language} {...(theme === "system" ? {} : { "data-theme": theme })}>
      <body>
        {/* Our content policy lets no script write a style element; globals.css has what those of Base UI would say. */}
        <CSPProvider disableStyleElements>
          <NuqsAdapter>
            <PreferencesProvider served={preferences} servedAt={await readServedAt()} messages={messagesOf(language)}>
              <ProceduresProvider>
                <div className="page-root">{children}</div>
                <ToastRegion />
                <TooltipLayer />
              </ProceduresProvider>
            </PreferencesProvider>
          </NuqsAdapter>
        </CSPProvider>
      </body>
    </html>
  );
}
