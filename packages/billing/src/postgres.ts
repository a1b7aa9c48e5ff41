// Statements in Postgres, and what a failed one means: a data error can only be the entry's own fault, everything else is the
// world's, and waits. Every failure is a BillingError `postgres_unavailable` whose cause is the driver's error.
import type { Db } from "@drawdown/db";
import type { Pool, PoolClient } from "pg";
import { BillingError } from "./errors.ts";

/** Named, it is prepared: parsed and planned once for each connection. One name has one text. */
type Statement = string | { readonly name: string; readonly text: string };

/** Runs one statement and returns its rows: numeric and int8 arrive as decimal text, timestamps as Date. */
export type Query = <R extends object = Record<string, unknown>>(sql: Statement, values?: unknown[]) => Promise<R[]>;

/**
 * Runs one statement. The driver keeps a query until the next full collection, as ioredis does a command (redis.ts), so its values, which may be
 * megabytes of arrays, are a copy that is emptied after it. Throws a `BillingError`.
 */
async function run<R extends object>(on: Pool | PoolClient, sql: Statement, values?: unknown[]): Promise<R[]> {
  const sent = values === undefined ? undefined : [...values];
  const statement = typeof sql === "string" ? { text: sql } : sql;
  try {
    return (await on.query<R>(sent === undefined ? { ...statement } : { ...statement, values: sent })).rows;
  } catch (error) {
    throw postgresFailure(error);
  } finally {
    if (sent !== undefined) sent.length = 0;
  }
}

/** JSON escapes what Postgres' arrays do not: control characters. */
const otherEscapes = /\\[^"\\]/;

/**
 * Text, numbers and nulls as an array parameter, at a third of the driver's cost: what JSON writes for them is, in other brackets, what
 * Postgres reads. Texts with control characters are left to the driver.
 */
export function arrayParameter(values: readonly (string | number | null)[]): unknown {
  const json = JSON.stringify(values);
  return json.includes("\\") && otherEscapes.test(json) ? values : `{${json.slice(1, -1)}}`;
}

/** Statements outside a transaction, each on any connection of the pool. */
export function queryOf(db: Db): Query {
  return (sql, values) => run(db.$client, sql, values);
}

/** Runs a query of packages/db; its failure becomes a BillingError too. */
export async function fromBooks<T>(query: Promise<T>): Promise<T> {
  return await query.catch((error: unknown) => {
    throw postgresFailure(error);
  });
}

/**
 * Runs `work` in one transaction on one connection, begun with `begin`. What `work` throws rolls back and is thrown on. A
 * connection that failed is thrown away, never returned to the pool.
 */
export async function inTransaction<T>(db: Db, begin: string, work: (query: Query) => Promise<T>): Promise<T> {
  const client = await db.$client.connect().catch((error: unknown) => {
    throw postgresFailure(error);
  });
  let broken: Error | undefined;
  const query: Query = (sql, values) => run(client, sql, values);
  try {
    await query(begin);
    const result = await work(query);
    await query("COMMIT");
    return result;
  } catch (error) {
    await client.query("ROLLBACK").catch((failure: Error) => {
      broken = failure;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}

/** A statement failed for what it was given: class 22, a null, a foreign key, or a named constraint of ours. */
export function isDataError(error: unknown): boolean {
  const state = sqlState(error);
  if (state === undefined) return false;
  if (state.startsWith("22") || state === "23502" || state === "23503") return true;
  const cause = causeOf(error);
  return state === "23514" && "constraint" in cause && typeof cause.constraint === "string";
}

/** The named constraint that a statement was refused by: a check, a foreign key, a unique one. Undefined for every other failure. */
export function constraintOf(error: unknown): string | undefined {
  const cause = causeOf(error);
  return sqlState(error)?.startsWith("23") && "constraint" in cause && typeof cause.constraint === "string"
    ? cause.constraint
    : undefined;
}

/** Deadlock or serialization failure: the same transaction may be run again at once. */
export function isTransient(error: unknown): boolean {
  const state = sqlState(error);
  return state === "40P01" || state === "40001";
}

/** The SQLSTATE of a failed statement, or undefined when the connection failed. */
export function sqlState(error: unknown): string | undefined {
  const cause = causeOf(error);
  if (!("code" in cause) || typeof cause.code !== "string") return undefined;
  return /^[0-9A-Z]{5}$/.test(cause.code) ? cause.code : undefined;
}

function causeOf(error: unknown): object {
  if (!(error instanceof BillingError) || typeof error.cause !== "object" || error.cause === null) return {};
  return error.cause;
}

/** What the driver threw, as a BillingError with it as the cause. */
export function postgresFailure(cause: unknown): BillingError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new BillingError("postgres_unavailable", "The books cannot be reached.", { cause, message });
}
