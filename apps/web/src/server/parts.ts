// Pages that show both stores at once read each on its own: what one of them cannot tell is named, and the other's stays.
import type { BillingErrorCode } from "@drawdown/billing";
import { storeFailureOf } from "@/server/errors.ts";

export type Part<T> = { value: T; fault: null } | { value: null; fault: BillingErrorCode };

/** What is read, or which store failed. Throws what is none's. */
export async function partOf<T>(read: () => Promise<T>): Promise<Part<T>> {
  try {
    return { value: await read(), fault: null };
  } catch (error) {
    const failure = storeFailureOf(error);
    if (failure === null) throw error;
    return { value: null, fault: failure.code };
  }
}
