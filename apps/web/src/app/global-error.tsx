"use client";

import "./globals.css";

/** When the root layout itself failed: no texts of a language are there, so it says it in each. */
export default function GlobalError({ error }: { error: Error & { digest?: string } }) {
  return (
    <html lang="en">
      <body>
        <main className="mx-auto flex min-h-dvh max-w-xl flex-col justify-center gap-3 p-4">
          <title>Drawdown</title>
          <h1 className="text-xl font-semibold">The console failed</h1>
          <p className="text-quiet">
            Load the page again. If it fails again, the console’s log tells more
            {error.digest ? ` under ${error.digest}` : ""}.
          </p>
          <p lang="zh-CN" className="text-quiet">
            控制台出错了。请重新加载页面；如果再次出错，可在控制台日志中查找详情。
          </p>
          {/* The router may be what failed. */}
          {/* oxlint-disable-next-line nextjs/no-html-link-for-pages */}
          <a href="/" className="text-accent underline">
            Drawdown
          </a>
        </main>
      </body>
    </html>
  );
}
