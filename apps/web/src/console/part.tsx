"use client";

// What a page keeps of a store that went away: what it told last, and that it is away now.
import { useState } from "react";
import { useTranslations } from "use-intl";
import type { Part } from "@/server/parts.ts";
import { ErrorBar, SkeletonLines } from "@/ui/states.tsx";

export type Kept<T> = { value: T | undefined; fault: Part<T>["fault"] };

/** Undefined until the first event. */
export function useKept<T>(part: Part<T> | undefined): Kept<T> {
  const [last, setLast] = useState<T>();
  const value = part?.value ?? undefined;
  if (value !== undefined && value !== last) setLast(() => value);
  return { value: value ?? last, fault: part?.fault ?? null };
}

/** Names the store that is away, above what it told last; nothing while it is there. */
export function PartFault({ fault }: { fault: Kept<unknown>["fault"] }) {
  const t = useTranslations("faults");
  if (fault === null) return null;
  const kind =
    fault === "redis_unavailable"
      ? "redis"
      : fault === "postgres_unavailable"
        ? "postgres"
        : fault === "fenced"
          ? "fenced"
          : "server";
  return <ErrorBar title={t(`${kind}.title`)}>{t(`${kind}.help`)}</ErrorBar>;
}

/** In the place of what was never told: it is on its way, or its store is away. */
export function PartComing({ fault, lines }: { fault: Kept<unknown>["fault"]; lines?: number }) {
  return fault === null ? <SkeletonLines lines={lines} /> : <PartFault fault={fault} />;
}
