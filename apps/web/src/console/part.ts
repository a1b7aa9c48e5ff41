"use client";

// What a page keeps of a store that went away: what it told last, and that it is away now.
import { useState } from "react";
import type { Part } from "@/server/parts.ts";

export type Kept<T> = { value: T | undefined; fault: Part<T>["fault"] };

/** Undefined until the first event. */
export function useKept<T>(part: Part<T> | undefined): Kept<T> {
  const [last, setLast] = useState<T>();
  const value = part?.value ?? undefined;
  if (value !== undefined && value !== last) setLast(() => value);
  return { value: value ?? last, fault: part?.fault ?? null };
}

/** The texts of the namespace "faults" about a store. */
export function faultName(fault: NonNullable<Part<unknown>["fault"]>): "redis" | "postgres" | "fenced" | "server" {
  if (fault === "redis_unavailable") return "redis";
  if (fault === "postgres_unavailable") return "postgres";
  return fault === "fenced" ? "fenced" : "server";
}
