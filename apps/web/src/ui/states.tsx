"use client";

// What a page shows instead of its content: not yet there, nothing to show, cannot be read.
import { clsx } from "clsx";
import { CircleAlert, DatabaseZap, Inbox, RefreshCw } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslations } from "use-intl";

/** Lines that are on their way. */
export function SkeletonLines({ lines = 3 }: { lines?: number | undefined }) {
  return (
    <Waiting className="flex flex-col gap-2.5">
      {Array.from({ length: lines }, (_, at) => (
        <span
          key={at}
          className={clsx("skeleton-bar h-4", at % 3 === 2 ? "w-2/5" : at % 3 === 1 ? "w-4/5" : "w-full")}
        />
      ))}
    </Waiting>
  );
}

/** Rows that are on their way, as high as they will be. */
export function SkeletonTable({ rows = 8, columns = 4 }: { rows?: number | undefined; columns?: number | undefined }) {
  return (
    <Waiting className="flex flex-col">
      {Array.from({ length: rows }, (_, row) => (
        <span key={row} className="flex h-9 items-center gap-6 border-b border-line px-4 last:border-b-0">
          {Array.from({ length: columns }, (_cell, column) => (
            <span key={column} className={clsx("skeleton-bar h-3.5", column === 0 ? "w-1/4" : "flex-1")} />
          ))}
        </span>
      ))}
    </Waiting>
  );
}

function Waiting({ className, children }: { className: string; children: ReactNode }) {
  const t = useTranslations("ui");
  return (
    <output className={className}>
      <span className="sr-only">{t("states.loading")}</span>
      {children}
    </output>
  );
}

export type EmptyStateProps = {
  title: ReactNode;
  /** What to do, or when something will be here. */
  children?: ReactNode;
  actions?: ReactNode;
  icon?: ReactNode;
};

export function EmptyState({ title, children, actions, icon }: EmptyStateProps) {
  return (
    <State icon={icon ?? <Inbox aria-hidden className="size-6 text-faint" />} title={title} actions={actions}>
      {children}
    </State>
  );
}

export type ErrorStateProps = {
  title: ReactNode;
  /** The store that is down, named: "Postgres", "Redis". */
  store?: string | undefined;
  /** What can be done about it. */
  children?: ReactNode;
  /** It asks again by itself (the default); said to the reader. */
  retries?: boolean | undefined;
  actions?: ReactNode;
};

/** Why nothing can be shown, what can be done, and that it comes back by itself. */
export function ErrorState({ title, store, children, retries = true, actions }: ErrorStateProps) {
  const t = useTranslations("ui");
  const Icon = store === undefined ? CircleAlert : DatabaseZap;
  return (
    <div role="alert">
      <State icon={<Icon aria-hidden className="size-6 text-critical" />} title={title} actions={actions}>
        {store === undefined ? null : <p>{t("states.storeDown", { store })}</p>}
        {children}
        {retries ? <Retrying /> : null}
      </State>
    </div>
  );
}

/** The same in one line, above content that is kept. */
export function ErrorBar({ title, retries = true, children }: Pick<ErrorStateProps, "title" | "retries" | "children">) {
  return (
    <div
      role="alert"
      className="flex items-start gap-2 rounded-lg border border-critical/40 bg-critical-soft px-3 py-2 text-critical"
    >
      <DatabaseZap aria-hidden className="mt-0.5 size-4 shrink-0" />
      <div className="min-w-0 flex-1 wrap-anywhere">
        <span className="font-medium">{title}</span> {children}
        {retries ? <Retrying /> : null}
      </div>
    </div>
  );
}

function Retrying() {
  const t = useTranslations("ui");
  return (
    <p className="flex items-center justify-center gap-1.5 text-xs in-[.border-critical\/40]:justify-start">
      <RefreshCw aria-hidden className="size-3 shrink-0" />
      {t("states.retries")}
    </p>
  );
}

function State({
  icon,
  title,
  actions,
  children,
}: {
  icon: ReactNode;
  title: ReactNode;
  actions: ReactNode;
  children: ReactNode;
}) {
  return (
    <div className="flex flex-col items-center gap-2 px-4 py-10 text-center">
      {icon}
      <p className="font-semibold text-balance">{title}</p>
      <div className="flex max-w-prose flex-col gap-2 text-quiet wrap-anywhere">{children}</div>
      {actions === undefined ? null : <div className="mt-2 flex flex-wrap justify-center gap-2">{actions}</div>}
    </div>
  );
}
