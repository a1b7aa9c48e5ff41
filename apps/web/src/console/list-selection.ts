"use client";

// What is chosen of a list: rows by their ids, from however many pages, or everything that the filters find. It ends when the filters change.
import { useMemo, useState } from "react";

export type ListSelection = {
  kind: "rows" | "all";
  ids: ReadonlySet<string>;
  choose: (ids: ReadonlySet<string>) => void;
  chooseAll: () => void;
  clear: () => void;
};

type Chosen = { of: string; kind: "rows" | "all"; ids: ReadonlySet<string> };

const none: ReadonlySet<string> = new Set();

/** `filters` are what the list is filtered by: a choice among other rows is another choice. */
export function useListSelection(filters: object): ListSelection {
  const of = JSON.stringify(filters);
  const [chosen, setChosen] = useState<Chosen>({ of, kind: "rows", ids: none });
  const { kind, ids } = chosen.of === of ? chosen : { kind: "rows" as const, ids: none };
  return useMemo(
    () => ({
      kind,
      ids,
      choose: (wanted) => setChosen({ of, kind: "rows", ids: wanted }),
      chooseAll: () => setChosen({ of, kind: "all", ids: none }),
      clear: () => setChosen({ of, kind: "rows", ids: none }),
    }),
    [of, kind, ids],
  );
}
