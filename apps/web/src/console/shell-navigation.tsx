"use client";

import { clsx } from "clsx";
import Link from "next/link";
import { usePathname, useRouter } from "next/navigation";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { isWithin, type PageEntry, pages, traceHref, traceIcon } from "@/console/navigation.ts";
import { idOf } from "@/console/palette-match.ts";
import type { PageCounts } from "@/console/shell-figures.ts";
import { TextField } from "@/ui/text-field.tsx";

const TraceIcon = traceIcon;

export type NavigationProps = {
  counts: PageCounts;
  /** Somewhere was gone to: a sheet closes. */
  onLeave?: (() => void) | undefined;
};

export function Navigation({ counts, onLeave }: NavigationProps) {
  const t = useTranslations("shell");
  const entry = (page: PageEntry) => <Entry key={page.href} page={page} counts={counts} onLeave={onLeave} />;
  return (
    <nav aria-label={t("navigation")} className="flex flex-col gap-4">
      <TraceField onLeave={onLeave} />
      <ul className="flex flex-col gap-px">{pages.filter(({ settings }) => !settings).map(entry)}</ul>
      <div>
        <h2 id="settings-pages" className="px-2.5 pb-1 text-xs font-medium text-faint">
          {t("settings")}
        </h2>
        <ul aria-labelledby="settings-pages" className="flex flex-col gap-px">
          {pages.filter(({ settings }) => settings).map(entry)}
        </ul>
      </div>
    </nav>
  );
}

function Entry({ page, counts, onLeave }: { page: PageEntry } & NavigationProps) {
  const t = useTranslations("shell");
  const here = isWithin(usePathname(), page.href);
  const count = counts[page.name];
  const { icon: Icon } = page;
  return (
    <li>
      <Link
        href={page.href}
        prefetch={false}
        onClick={() => onLeave?.()}
        aria-current={here ? "page" : undefined}
        className={clsx(
          "flex min-h-8 items-center gap-2.5 rounded-md px-2.5 font-medium",
          here ? "bg-accent-soft text-accent-strong" : "text-quiet hover:bg-hover hover:text-ink",
        )}
      >
        <Icon aria-hidden className="size-4 shrink-0" />
        {t(`pages.${page.name}`)}
        {count === undefined || count === 0 ? null : (
          <span className="ml-auto rounded bg-sunken px-1.5 text-xs text-quiet tabular-nums">
            <span aria-hidden>{count > 999 ? "999+" : count}</span>
            <span className="sr-only">({t("waiting", { count })})</span>
          </span>
        )}
      </Link>
    </li>
  );
}

/** Any id, and Enter. */
function TraceField({ onLeave }: { onLeave: (() => void) | undefined }) {
  const t = useTranslations("shell.trace");
  const router = useRouter();
  const [text, setText] = useState("");
  const id = idOf(text);
  return (
    <search>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (id === undefined) return;
          router.push(traceHref(id));
          setText("");
          onLeave?.();
        }}
      >
        <TextField
          label={t("label")}
          hideLabel
          icon={<TraceIcon />}
          placeholder={t("label")}
          value={text}
          onChange={setText}
          autoComplete="off"
          spellCheck={false}
          data-trace-field=""
        />
      </form>
    </search>
  );
}
