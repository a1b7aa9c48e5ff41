// How often one may try a password. Kept in Postgres, so that it holds for all consoles together and across restarts.
import { books } from "@/server/domain.ts";
import { db } from "@/server/stores.ts";

/** Guessing is slow, mistyping is not punished: what goes well is not counted. */
const PER_EMAIL = { attempts: 5, windowSeconds: 300 };
const PER_ADDRESS = { attempts: 30, windowSeconds: 300 };

type Attempt = { email: string; headers: Headers | undefined };

/** Counts it, before the password is looked at: guesses at once do not pass together. Gives the seconds to wait, or null. */
export async function countAttempt(attempt: Attempt): Promise<number | null> {
  for (const { key, rule } of keysOf(attempt)) {
    const { waitSeconds } = await books.countSignIn(db(), key, rule);
    if (waitSeconds !== null) return waitSeconds;
  }
  return null;
}

/** It went well. */
export async function forgiveAttempt(attempt: Attempt): Promise<void> {
  for (const { key } of keysOf(attempt)) await books.forgetSignIn(db(), key);
}

function keysOf({ email, headers }: Attempt) {
  // One address, which `drawdown console` knows: who is connected, or whom the proxies in front name.
  const address = headers?.get("x-forwarded-for") ?? "";
  return [
    { key: `address:${address.slice(0, 64)}`, rule: PER_ADDRESS },
    { key: `email:${email.trim().toLowerCase().slice(0, 320)}`, rule: PER_EMAIL },
  ];
}
