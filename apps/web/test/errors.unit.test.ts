import { BillingError } from "@drawdown/billing";
import { TRPCError } from "@trpc/server";
import { describe, expect, it } from "vitest";
import { storeFailure, toTrpcError } from "@/server/errors.ts";

/** As packages/billing hands on what Postgres answered. */
function failed(sqlState: string): TRPCError {
  const cause = Object.assign(new Error("said the driver"), { code: sqlState });
  const failure = new BillingError("postgres_unavailable", "The books cannot be reached.", { cause });
  return toTrpcError(new TRPCError({ code: "INTERNAL_SERVER_ERROR", cause: failure }));
}

describe("a failed query", () => {
  it("7 names Postgres when it is away, or has no room", () => {
    for (const sqlState of ["08006", "53300", "57P01"]) {
      expect(failed(sqlState).code, sqlState).toBe("SERVICE_UNAVAILABLE");
      expect(storeFailure(failed(sqlState))?.code, sqlState).toBe("postgres_unavailable");
    }
  });

  it("7 is the server's own failure when Postgres is there and knows no such table or column", () => {
    for (const sqlState of ["42P01", "42703"]) {
      expect(failed(sqlState).code, sqlState).toBe("INTERNAL_SERVER_ERROR");
      expect(storeFailure(failed(sqlState)), sqlState).toBeNull();
    }
  });
});
