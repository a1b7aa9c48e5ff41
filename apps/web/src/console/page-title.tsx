import type { ReactNode } from "react";

export type PageTitleProps = {
  /** The page's one h1. */
  children: ReactNode;
  /** Above it: the list it belongs to. */
  above?: ReactNode;
  /** Under it, one sentence or the thing's state. */
  note?: ReactNode;
  /** Buttons at its right. */
  actions?: ReactNode;
};

export function PageTitle({ children, above, note, actions }: PageTitleProps) {
  return (
    <header className="mb-4 flex flex-wrap items-end justify-between gap-x-6 gap-y-3">
      <div className="min-w-0">
        {above === undefined ? null : <div className="mb-0.5 text-xs text-quiet">{above}</div>}
        <h1 className="text-xl leading-7 font-semibold tracking-tight wrap-anywhere">{children}</h1>
        {note === undefined ? null : <div className="mt-0.5 max-w-prose text-quiet">{note}</div>}
      </div>
      {actions === undefined ? null : <div className="flex flex-wrap items-center gap-2">{actions}</div>}
    </header>
  );
}
