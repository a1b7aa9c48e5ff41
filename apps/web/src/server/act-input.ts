// What every act's procedure takes beside its target, and who then is on record as having acted.
import type { Act } from "@drawdown/billing";
import { z } from "zod";
import type { Operator } from "@/server/session.ts";

/** `actId` is made by the page when it asks: a double click is one act. */
export const actInput = { actId: z.uuid(), reason: z.string().trim().min(1).max(2_000) };

export function actOf({ email, role }: Operator, { actId, reason }: { actId: string; reason: string }): Act {
  return { id: actId, actor: email, role, reason };
}
