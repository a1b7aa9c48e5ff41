// Who may look after the ledger. Making an operator, changing what he may, and ending his sessions are acts, each on record in the
// transaction of its effect. Passwords are kept as better-auth keeps them, which checks them at the sign-in.
import { randomBytes } from "node:crypto";
import { hashPassword } from "@better-auth/utils/password";
import type { Db, OperatorRole } from "@drawdown/db";
import { BillingError } from "./errors.ts";
import { recordAct } from "./operations.ts";
import { inTransaction, type Query } from "./postgres.ts";

const MIN_PASSWORD_LENGTH = 12;
const MAX_PASSWORD_LENGTH = 128;

/** 20 characters that can be read out, about 100 bits. */
export function temporaryPassword(): string {
  return randomBytes(12)
    .toString("hex")
    .replaceAll(/.{6}(?=.)/g, "$&-");
}

/** What is typed as an e-mail, as it is kept. Throws `invalid_request` for what is none. */
function operatorEmail(text: string): string {
  const email = text.trim().toLowerCase();
  if (!/^[^@\s\p{Cc}]{1,64}@[^@\s\p{Cc}]{1,255}$/u.test(email))
    throw new BillingError("invalid_request", "That is no e-mail address.");
  return email;
}

export type OperatorToEnsure = { email: string; role: OperatorRole; password: string };

/** Makes an operator who is not there yet. One who is there is left as he is, or with `renew` gets this role and password and is signed out. */
export async function ensureOperator(
  db: Db,
  { email: typed, role, password }: OperatorToEnsure,
  { renew, actor }: { renew: boolean; actor: string },
): Promise<"created" | "renewed" | "kept"> {
  const email = operatorEmail(typed);
  const hash = await hashed(password);
  return await inTransaction(db, "BEGIN", async (query) => {
    const [made] = await query<{ id: string }>(
      `INSERT INTO data.operator (email, name, role) VALUES ($1, $2, $3) ON CONFLICT (email) DO NOTHING RETURNING id`,
      [email, email.slice(0, email.indexOf("@")), role],
    );
    if (made !== undefined) {
      await putPassword(query, made.id, hash);
      await recordAct(
        query,
        { actor, role: "admin", reason: "it was not there" },
        { action: "create_operator", targets: [email], after: { email, role, disabled: false }, result: { email } },
      );
      return "created";
    }
    if (!renew) return "kept";
    const [found] = await query<{ id: string }>(
      "UPDATE data.operator SET role = $2, disabled_at = NULL, updated_at = now() WHERE email = $1 RETURNING id",
      [email, role],
    );
    if (found === undefined) throw new Error("an operator vanished");
    await putPassword(query, found.id, hash);
    await endSessions(query, found.id);
    return "renewed";
  });
}

/** Throws `invalid_request` for a password that is too short or too long. */
async function hashed(password: string): Promise<string> {
  if (password.length < MIN_PASSWORD_LENGTH || password.length > MAX_PASSWORD_LENGTH)
    throw new BillingError(
      "invalid_request",
      `A password has ${MIN_PASSWORD_LENGTH} to ${MAX_PASSWORD_LENGTH} characters.`,
    );
  return await hashPassword(password);
}

async function putPassword(query: Query, operatorId: string, hash: string): Promise<void> {
  await query(
    `INSERT INTO data.operator_credential (operator_id, provider_id, subject, password) VALUES ($1::uuid, 'credential', $1::uuid::text, $2)
     ON CONFLICT (provider_id, subject) DO UPDATE SET password = EXCLUDED.password, updated_at = now()`,
    [operatorId, hash],
  );
}

async function endSessions(query: Query, operatorId: string): Promise<number> {
  const ended = await query("DELETE FROM data.operator_session WHERE operator_id = $1 RETURNING id", [operatorId]);
  return ended.length;
}
