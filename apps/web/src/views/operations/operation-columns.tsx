"use client";

import type { Operation } from "@drawdown/billing";
import Link from "next/link";
import { useMemo } from "react";
import { useTranslations } from "use-intl";
import { operationHref } from "@/console/navigation.ts";
import type { Column } from "@/ui/data-table.tsx";
import { Moment } from "@/ui/moment.tsx";
import { OperationState, useActionWord } from "@/views/operations/operation-words.tsx";

export function useOperationColumns(): Column<Operation>[] {
  const t = useTranslations("operations");
  const word = useActionWord();
  return useMemo(
    () => [
      { id: "at", title: t("column.at"), cell: ({ startedAt }) => <Moment at={startedAt} /> },
      {
        id: "action",
        title: t("column.action"),
        cell: ({ id, action }) => (
          <Link className="link font-medium" href={operationHref(id)} prefetch={false}>
            {word(action)}
          </Link>
        ),
      },
      {
        id: "actor",
        title: t("column.actor"),
        cell: ({ actor, role }) => (
          <span>
            <bdi>{actor}</bdi> <span className="text-xs text-faint">{role}</span>
          </span>
        ),
      },
      {
        id: "reason",
        title: t("column.reason"),
        cell: ({ reason }) => (
          <bdi className="line-clamp-2 max-w-72 min-w-40 wrap-anywhere" title={reason}>
            {reason}
          </bdi>
        ),
      },
      { id: "state", title: t("column.state"), cell: (operation) => <OperationState {...operation} /> },
      { id: "counts", title: t("column.counts"), cell: (operation) => <Counts operation={operation} /> },
      {
        id: "change",
        title: t("column.change"),
        cell: ({ before, after }) => <Change before={before} after={after} />,
      },
    ],
    [t, word],
  );
}

function Counts({ operation: { counts } }: { operation: Operation }) {
  const t = useTranslations("operations");
  if (counts === null) return null;
  const parts = (["applied", "already", "failed", "left"] as const).filter((name) => counts[name] > 0);
  return (
    <span className="whitespace-nowrap">
      {parts.map((name) => t(`counted.${name}`, { count: counts[name] })).join(", ") || t("counted.none")}
    </span>
  );
}

/** The few values that changed, in short; the act's own page has them whole. */
function Change({ before, after }: { before: unknown; after: unknown }) {
  const [was, is] = [valuesOf(before), valuesOf(after)];
  const changed = [...new Set([...was.keys(), ...is.keys()])].filter((name) => was.get(name) !== is.get(name));
  if (changed.length === 0) return null;
  return (
    <ul className="max-w-80 font-mono text-xs text-quiet">
      {changed.slice(0, SHOWN).map((name) => (
        <li key={name} className="line-clamp-2 wrap-anywhere">
          <bdi>{name}</bdi> <bdi>{was.get(name) ?? "∅"}</bdi> → <bdi>{is.get(name) ?? "∅"}</bdi>
        </li>
      ))}
      {changed.length > SHOWN && <li>…</li>}
    </ul>
  );
}

const SHOWN = 3;

/** The plain values of an object by their names. A count of zero is not worth its place. */
function valuesOf(value: unknown): Map<string, string> {
  if (typeof value !== "object" || value === null) return new Map();
  return new Map(
    Object.entries(value).flatMap(([name, one]: [string, unknown]) =>
      one === null || one === 0 || typeof one === "object"
        ? []
        : [[name, typeof one === "string" ? one : JSON.stringify(one)]],
    ),
  );
}
