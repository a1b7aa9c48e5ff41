// Who may look after the ledger. Making an operator, changing what he may, and ending his sessions are acts, each on record in the
// transaction of its effect. Passwords are kept as better-auth keeps them, which checks them at the sign-in.
import { randomBytes } from "node:crypto";
import { hashPassword, verifyPassword } from "@better-auth/utils/password";
import type { Db, OperatorRole } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import { BillingError } from "./errors.ts";
import { type Act, checkAct, recordAct } from "./operations.ts";
import { inTransaction, type Query, queryOf } from "./postgres.ts";

const MIN_PASSWORD_LENGTH = 12;
/** Of a password that stands in the settings: it is chosen by who deploys. */
const MIN_SET_PASSWORD_LENGTH = 8;
const MAX_PASSWORD_LENGTH = 128;

/** How one signs in: a password, single sign-on (`oidc`), or both. */
export type Operator = {
  id: string;
  email: string;
  name: string;
  role: OperatorRole;
  status: "active" | "disabled";
  signsInBy: ("password" | "oidc")[];
  /** Open ones, in any browser. */
  sessions: number;
  lastSignInAt: Date | null;
  createdAt: Date;
};

export type OperatorSession = {
  id: string;
  address: string | null;
  userAgent: string | null;
  createdAt: Date;
  expiresAt: Date;
};

/** `repeated`: it was so before, or the act has this id already. `last_admin`: nobody could manage operators any more. */
export type OperatorChange =
  | { outcome: "changed"; operator: Operator; operationId: string }
  | { outcome: "repeated"; operator: Operator }
  | { outcome: "unknown_operator" }
  | { outcome: "last_admin" };

export type CreateOperatorOutcome =
  /** `password` is told this once; null when the caller gave one. */
  { outcome: "created"; operator: Operator; password: string | null; operationId: string } | { outcome: "exists" };

export type ResetPasswordOutcome =
  /** `password` is told this once. */
  | { outcome: "reset"; operator: Operator; password: string; operationId: string }
  | { outcome: "repeated"; operator: Operator }
  | { outcome: "unknown_operator" };

type Books = Pick<Billing, "db">;

/** By e-mail. Throws `postgres_unavailable`, as everything here does. */
export async function listOperators({ db }: Books): Promise<Operator[]> {
  return await readOperators(queryOf(db), null);
}

/** Makes an operator, with a temporary password unless one is given. Throws `invalid_request` for what is no e-mail, name or password. */
export async function createOperator(
  { db }: Books,
  { email: typed, name, role, password }: { email: string; name?: string; role: OperatorRole; password?: string },
  act: Act,
): Promise<CreateOperatorOutcome> {
  checkAct(act);
  const email = operatorEmail(typed);
  const told = password ?? temporaryPassword();
  const hash = await hashed(told);
  return await inTransaction(db, "BEGIN", async (query): Promise<CreateOperatorOutcome> => {
    const id = await insertOperator(query, { email, name: operatorName(name ?? nameOf(email)), role });
    if (id === undefined) return { outcome: "exists" };
    await putPassword(query, id, hash);
    const operator = await readOperator(query, id);
    const done = { action: "create_operator", targets: [email], after: onRecord(operator), result: { email } };
    const operationId = await recordAct(query, act, done);
    return { outcome: "created", operator, password: password === undefined ? told : null, operationId };
  });
}

/** `who`, here and below: an operator's id or e-mail. Takes effect with his next request. */
export async function setOperatorRole(
  books: Books,
  who: string,
  role: OperatorRole,
  act: Act,
): Promise<OperatorChange> {
  return await change(books, who, act, {
    action: "set_operator_role",
    isSo: (operator) => operator.role === role,
    keepsAdmin: role === "admin",
    apply: async (query, { id }) => {
      await query("UPDATE data.operator SET role = $2, updated_at = now() WHERE id = $1", [id, role]);
    },
  });
}

/** One who is disabled is signed out everywhere and cannot sign in; enabled, he may again. */
export async function setOperatorEnabled(books: Books, who: string, on: boolean, act: Act): Promise<OperatorChange> {
  return await change(books, who, act, {
    action: on ? "enable_operator" : "disable_operator",
    isSo: (operator) => (operator.status === "active") === on,
    keepsAdmin: on,
    apply: async (query, { id }) => {
      const at = on ? "NULL" : "now()";
      await query(`UPDATE data.operator SET disabled_at = ${at}, updated_at = now() WHERE id = $1`, [id]);
      if (!on) await endSessions(query, id);
    },
  });
}

/** Ends every session of an operator. */
export async function signOutOperator(books: Books, who: string, act: Act): Promise<OperatorChange> {
  return await change(books, who, act, {
    action: "sign_out_operator",
    isSo: (operator) => operator.sessions === 0,
    keepsAdmin: true,
    apply: async (query, { id }) => {
      await endSessions(query, id);
    },
  });
}

/** Sets a temporary password, and signs the operator out everywhere. */
export async function resetOperatorPassword(books: Books, who: string, act: Act): Promise<ResetPasswordOutcome> {
  const password = temporaryPassword();
  const hash = await hashed(password);
  const changed = await change(books, who, act, {
    action: "reset_operator_password",
    isSo: () => false,
    keepsAdmin: true,
    apply: async (query, { id }) => {
      await putPassword(query, id, hash);
      await endSessions(query, id);
    },
  });
  if (changed.outcome === "last_admin") throw new Error("a password has no role");
  return changed.outcome === "changed" ? { ...changed, outcome: "reset", password } : changed;
}

/** An operator's own change: needs the present password, and ends his other sessions. Throws `invalid_request` for a bad new one. */
export async function changeOwnPassword(
  books: Books,
  own: { operatorId: string; sessionId: string; present: string; next: string },
  act: Act,
): Promise<OperatorChange | { outcome: "wrong_password" }> {
  const [kept] = await queryOf(books.db)<{ password: string | null }>(
    "SELECT password FROM data.operator_credential WHERE provider_id = 'credential' AND operator_id = $1",
    [own.operatorId],
  );
  if (!kept?.password || !(await verifyPassword(kept.password, own.present))) return { outcome: "wrong_password" };
  const hash = await hashed(own.next);
  return await change(books, own.operatorId, act, {
    action: "change_own_password",
    isSo: () => false,
    keepsAdmin: true,
    apply: async (query, { id }) => {
      await putPassword(query, id, hash);
      await endSessions(query, id, own.sessionId);
    },
  });
}

/** Open sessions, the newest first. */
export async function listOperatorSessions({ db }: Books, operatorId: string): Promise<OperatorSession[]> {
  return await queryOf(db)<OperatorSession>(
    `SELECT id, ip_address AS address, user_agent AS "userAgent", created_at AS "createdAt", expires_at AS "expiresAt"
       FROM data.operator_session WHERE operator_id = $1 AND expires_at > now() ORDER BY created_at DESC, id`,
    [operatorId],
  );
}

/** An operator ends all his sessions but the one that he asks with. */
export async function signOutOthers(
  books: Books,
  own: { operatorId: string; sessionId: string },
  act: Act,
): Promise<OperatorChange> {
  return await change(books, own.operatorId, act, {
    action: "sign_out_others",
    isSo: (operator) => operator.sessions <= 1,
    keepsAdmin: true,
    apply: async (query, { id }) => {
      await endSessions(query, id, own.sessionId);
    },
  });
}

type Change = {
  action: string;
  /** Nothing is left to do. */
  isSo: (operator: Operator) => boolean;
  /** False: whom it is done to is no active admin afterwards. */
  keepsAdmin: boolean;
  apply: (query: Query, operator: Operator) => Promise<void>;
};

/** The active admins are locked with the operator, in sorted order: two who demote each other do not both succeed. */
async function change({ db }: Books, who: string, act: Act, wanted: Change): Promise<OperatorChange> {
  checkAct(act);
  return await inTransaction(db, "BEGIN", async (query): Promise<OperatorChange> => {
    const locked = await query<{ id: string; email: string; admin: boolean }>(
      `SELECT id, email, role = 'admin' AND disabled_at IS NULL AS admin FROM data.operator
        WHERE id::text = $1 OR email = $1 OR (role = 'admin' AND disabled_at IS NULL) ORDER BY id FOR UPDATE`,
      [who.trim().toLowerCase()],
    );
    const target = locked.find(({ id, email }) => [id, email].includes(who.trim().toLowerCase()));
    if (target === undefined) return { outcome: "unknown_operator" };
    const before = await readOperator(query, target.id);
    if (wanted.isSo(before) || (await isOnRecord(query, act))) return { outcome: "repeated", operator: before };
    if (target.admin && !wanted.keepsAdmin && !locked.some(({ id, admin }) => admin && id !== target.id))
      return { outcome: "last_admin" };
    await wanted.apply(query, before);
    const after = await readOperator(query, target.id);
    const operationId = await recordAct(query, act, {
      action: wanted.action,
      targets: [before.email],
      before: onRecord(before),
      after: onRecord(after),
      result: { email: before.email },
    });
    return { outcome: "changed", operator: after, operationId };
  });
}

async function isOnRecord(query: Query, { id }: Act): Promise<boolean> {
  if (id === undefined) return false;
  return (await query("SELECT FROM data.operator_action WHERE id = $1", [id])).length > 0;
}

/** What the record of an act says of an operator. */
function onRecord({ email, name, role, status, sessions }: Operator) {
  return { email, name, role, status, sessions };
}

async function readOperator(query: Query, id: string): Promise<Operator> {
  const [operator] = await readOperators(query, id);
  if (operator === undefined) throw new Error("an operator vanished");
  return operator;
}

async function readOperators(query: Query, id: string | null): Promise<Operator[]> {
  return await query<Operator>(
    `SELECT o.id, o.email, o.name, o.role, CASE WHEN o.disabled_at IS NULL THEN 'active' ELSE 'disabled' END AS status,
            (SELECT coalesce(json_agg(CASE provider_id WHEN 'credential' THEN 'password' ELSE provider_id END ORDER BY provider_id), '[]')
               FROM data.operator_credential c WHERE c.operator_id = o.id) AS "signsInBy",
            (SELECT count(*)::int FROM data.operator_session s WHERE s.operator_id = o.id AND s.expires_at > now()) AS sessions,
            (SELECT max(created_at) FROM data.operator_session s WHERE s.operator_id = o.id) AS "lastSignInAt",
            o.created_at AS "createdAt"
       FROM data.operator o WHERE $1::uuid IS NULL OR o.id = $1 ORDER BY o.email`,
    [id],
  );
}

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
  const hash = await hashed(password, MIN_SET_PASSWORD_LENGTH);
  return await inTransaction(db, "BEGIN", async (query) => {
    const made = await insertOperator(query, { email, name: nameOf(email), role });
    if (made !== undefined) {
      await putPassword(query, made, hash);
      const after = onRecord(await readOperator(query, made));
      const act = { actor, role: "admin", reason: "there was none of this e-mail" };
      await recordAct(query, act, { action: "create_operator", targets: [email], after, result: { email } });
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

/**
 * An operator whom single sign-on knows gets this role, being made when there is none; without a role he is left as he is. The last
 * active admin stays one. His e-mail is the identity provider's word.
 */
export async function admitOperator(
  books: Books,
  { email: typed, name, role, ifNew }: { email: string; name: string; role: OperatorRole; ifNew: boolean },
  act: Act,
): Promise<void> {
  const email = operatorEmail(typed);
  const made = await inTransaction(books.db, "BEGIN", async (query) => {
    const id = await insertOperator(query, { email, name: operatorName(name.trim() || nameOf(email)), role });
    if (id === undefined) return false;
    const after = onRecord(await readOperator(query, id));
    await recordAct(query, act, { action: "create_operator", targets: [email], after, result: { email } });
    return true;
  });
  if (!made && !ifNew) await setOperatorRole(books, email, role, act);
}

/** Throws `invalid_request` for a password that is too short or too long. */
async function hashed(password: string, least = MIN_PASSWORD_LENGTH): Promise<string> {
  if (password.length < least || password.length > MAX_PASSWORD_LENGTH)
    throw new BillingError("invalid_request", `A password has ${least} to ${MAX_PASSWORD_LENGTH} characters.`);
  return await hashPassword(password);
}

/** Undefined when there is one of this e-mail. */
async function insertOperator(
  query: Query,
  { email, name, role }: { email: string; name: string; role: OperatorRole },
): Promise<string | undefined> {
  const [made] = await query<{ id: string }>(
    "INSERT INTO data.operator (email, name, role) VALUES ($1, $2, $3) ON CONFLICT (email) DO NOTHING RETURNING id",
    [email, name, role],
  );
  return made?.id;
}

function nameOf(email: string): string {
  return email.slice(0, email.indexOf("@"));
}

function operatorName(text: string): string {
  const name = text.trim();
  if (name === "" || name.length > 128 || /\p{Cc}/u.test(name))
    throw new BillingError("invalid_request", "A name has 1 to 128 characters of text.");
  return name;
}

async function putPassword(query: Query, operatorId: string, hash: string): Promise<void> {
  await query(
    `INSERT INTO data.operator_credential (operator_id, provider_id, subject, password) VALUES ($1::uuid, 'credential', $1::uuid::text, $2)
     ON CONFLICT (provider_id, subject) DO UPDATE SET password = EXCLUDED.password, updated_at = now()`,
    [operatorId, hash],
  );
}

async function endSessions(query: Query, operatorId: string, except: string | null = null): Promise<void> {
  await query("DELETE FROM data.operator_session WHERE operator_id = $1 AND id IS DISTINCT FROM $2", [
    operatorId,
    except,
  ]);
}
