"use client";

import { clsx } from "clsx";
import type { ReactNode } from "react";

export type Tab<Value extends string> = { value: Value; label: ReactNode; content: ReactNode };

export type TabsProps<Value extends string> = {
  /** Names the list of sections. */
  label: string;
  /** The address's parameter that names the section. */
  parameter: string;
  tabs: readonly Tab<Value>[];
  value: Value;
  onChange: (value: Value) => void;
};

/** Sections of one page, each with an address of its own; only the chosen one is mounted. */
export function Tabs<Value extends string>({ label, parameter, tabs, value, onChange }: TabsProps<Value>) {
  return (
    <div>
      <nav aria-label={label} className="flex flex-wrap gap-x-1 border-b border-line">
        {tabs.map((tab) => (
          <a
            key={tab.value}
            href={`?${parameter}=${tab.value}`}
            aria-current={tab.value === value ? "page" : undefined}
            onClick={(event) => {
              if (event.metaKey || event.ctrlKey || event.shiftKey) return;
              event.preventDefault();
              onChange(tab.value);
            }}
            className={clsx(
              "inline-flex min-h-9 items-center rounded-t-md border-b-2 px-2.5 font-medium whitespace-nowrap -outline-offset-2! hover:text-ink",
              tab.value === value ? "border-accent text-ink" : "border-transparent text-quiet",
            )}
          >
            {tab.label}
          </a>
        ))}
      </nav>
      <div className="pt-4">{tabs.find((tab) => tab.value === value)?.content}</div>
    </div>
  );
}
