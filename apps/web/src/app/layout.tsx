import type { Metadata, Viewport } from "next";
import type { ReactNode } from "react";
import { ProceduresProvider } from "@/trpc/provider.tsx";
import "./globals.css";

export const metadata: Metadata = {
  title: { default: "Drawdown", template: "%s · Drawdown" },
  description: "Where every balance is explained, from the deduction in Redis to the row in Postgres.",
  robots: { index: false, follow: false },
};

export const dynamic = "force-dynamic";

export const viewport: Viewport = {
  colorScheme: "light dark",
  themeColor: [
    { media: "(prefers-color-scheme: light)", color: "#f7f8f6" },
    { media: "(prefers-color-scheme: dark)", color: "#111513" },
  ],
};

export default function RootLayout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>
        <ProceduresProvider>{children}</ProceduresProvider>
      </body>
    </html>
  );
}
