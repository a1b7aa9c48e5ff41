import { clsx } from "clsx";
import type { ReactNode } from "react";

export type CardProps = {
  /** An h2 unless `level` says otherwise. */
  title?: ReactNode;
  level?: 2 | 3 | undefined;
  note?: ReactNode;
  /** Buttons at the right of the title. */
  actions?: ReactNode;
  /** No padding: tables and lists to the edge. */
  flush?: boolean | undefined;
  className?: string | undefined;
  children: ReactNode;
};

/** One matter of a page. */
export function Card({ title, level = 2, note, actions, flush, className, children }: CardProps) {
  const Heading = level === 2 ? "h2" : "h3";
  const headed = title !== undefined || actions !== undefined;
  return (
    <section className={clsx("min-w-0 rounded-lg border border-line bg-surface shadow-card", className)}>
      {headed ? (
        <div className="flex flex-wrap items-center gap-x-3 gap-y-1 border-b border-line px-4 py-2.5">
          <div className="min-w-0 flex-1">
            {title === undefined ? null : <Heading className="text-sm font-semibold">{title}</Heading>}
            {note === undefined ? null : <div className="text-xs text-faint">{note}</div>}
          </div>
          {actions === undefined ? null : <div className="flex flex-wrap items-center gap-2">{actions}</div>}
        </div>
      ) : null}
      <div className={clsx(!flush && "p-4")}>{children}</div>
    </section>
  );
}
