"use client";

// Rows of a list that show more of themselves: which are open, and the button that opens one.
import { ChevronDown } from "lucide-react";
import { useMemo, useState } from "react";
import { IconButton } from "@/ui/button.tsx";

export type Expanded = { has: (id: string) => boolean; toggle: (id: string) => void };

export function useExpanded(): Expanded {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  return useMemo(
    () => ({
      has: (id) => open.has(id),
      toggle: (id) =>
        setOpen((before) => {
          const after = new Set(before);
          if (!after.delete(id)) after.add(id);
          return after;
        }),
    }),
    [open],
  );
}

/** `label` says what is shown, and of which row. */
export function ExpandButton({ expanded, id, label }: { expanded: Expanded; id: string; label: string }) {
  const open = expanded.has(id);
  return (
    <IconButton
      size="small"
      label={label}
      aria-expanded={open}
      icon={<ChevronDown aria-hidden className={open ? "size-4 rotate-180" : "size-4"} />}
      onClick={() => expanded.toggle(id)}
    />
  );
}
