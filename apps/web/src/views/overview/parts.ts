// The parts of a frame as the cards take them: with what was told last where a store is away.
import type { Kept } from "@/console/part.tsx";
import type { OverviewFrame } from "@/server/overview-router.ts";

type PartOf<Name extends "streams" | "books" | "holds"> = Kept<NonNullable<OverviewFrame[Name]["value"]>>;

export type KeptStreams = PartOf<"streams">;
export type KeptBooks = PartOf<"books">;
export type KeptHolds = PartOf<"holds">;
