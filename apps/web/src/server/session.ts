// Who is signed in.
import { getSessionCookie } from "better-auth/cookies";
import { books } from "@/server/domain.ts";
import type { Role } from "@/server/roles.ts";
import { db } from "@/server/stores.ts";

export type Operator = { id: string; email: string; name: string; role: Role; sessionId: string };

export const COOKIE_PREFIX = "drawdown";

/**
 * Nobody when the session is unknown, expired or revoked, or its operator is disabled. Read past better-auth, whose answer hides that the
 * books are away: that is thrown, as the driver says it. A request that asks for several procedures asks once.
 */
export async function readOperator(headers: Headers): Promise<Operator | undefined> {
  const known = asked.get(headers);
  if (known !== undefined) return await known;
  const reading = read(headers);
  asked.set(headers, reading);
  return await reading;
}

const asked = new WeakMap<Headers, Promise<Operator | undefined>>();

async function read(headers: Headers): Promise<Operator | undefined> {
  // `<token>.<signature>`; the token alone is 190 random bits.
  const [token] = getSessionCookie(headers, { cookiePrefix: COOKIE_PREFIX })?.split(".") ?? [];
  return token === undefined ? undefined : await books.findSession(db(), token);
}
