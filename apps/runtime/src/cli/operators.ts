/** `drawdown operators`: who may use the console, and as what. Each change is on record; a password is shown once. */
import {
  createOperator,
  listOperators,
  type Operator,
  type OperatorChange,
  resetOperatorPassword,
  setOperatorEnabled,
  setOperatorRole,
  signOutOperator,
} from "@drawdown/billing";
import type { OperatorRole } from "@drawdown/db";
import { Problem } from "../problem.ts";
import { withDatabase } from "../stores.ts";
import { type ActOptions, actOf } from "./act.ts";
import { print, printJson, printPairs, printTable } from "./output.ts";

const nobody = "There is no such operator. Name one by e-mail or id.";

export async function listOperatorsCommand({ json }: { json: boolean }): Promise<void> {
  await withDatabase(async (db) => {
    const operators = await listOperators({ db });
    if (json) return printJson({ operators: operators.map(operatorJson) });
    if (operators.length === 0) return print("There are no operators.");
    printTable([
      ["EMAIL", "ROLE", "STATUS", "SIGNS IN BY", "SESSIONS", "NAME"],
      ...operators.map(({ email, role, status, signsInBy, sessions, name }) => [
        email,
        role,
        status,
        signsInBy.join(","),
        sessions.toString(),
        name,
      ]),
    ]);
  });
}

export async function createOperatorCommand(
  email: string,
  options: ActOptions & { role: OperatorRole; name?: string },
): Promise<void> {
  const { role, name, json } = options;
  await withDatabase(async (db) => {
    const outcome = await createOperator(
      { db },
      { email, role, ...(name === undefined ? {} : { name }) },
      actOf(options),
    );
    if (outcome.outcome === "exists") throw new Problem("There is an operator of this e-mail already.");
    const { operator, password, operationId } = outcome;
    if (json) return printJson({ password, operation_id: operationId, ...operatorJson(operator) });
    printPairs([
      ["password, shown this once", password ?? ""],
      ["operator", `${operator.email} (${operator.role})`],
    ]);
  });
}

export async function setRoleCommand(who: string, role: OperatorRole, options: ActOptions): Promise<void> {
  await changed(options, (db) => setOperatorRole({ db }, who, role, actOf(options)));
}

export async function enableCommand(who: string, on: boolean, options: ActOptions): Promise<void> {
  await changed(options, (db) => setOperatorEnabled({ db }, who, on, actOf(options)));
}

export async function signOutCommand(who: string, options: ActOptions): Promise<void> {
  await changed(options, (db) => signOutOperator({ db }, who, actOf(options)));
}

export async function resetPasswordCommand(who: string, options: ActOptions): Promise<void> {
  await withDatabase(async (db) => {
    const outcome = await resetOperatorPassword({ db }, who, actOf(options));
    if (outcome.outcome === "unknown_operator") throw new Problem(nobody);
    if (outcome.outcome === "repeated") throw new Error("an act without an id cannot be repeated");
    const { operator, password, operationId } = outcome;
    if (options.json) return printJson({ password, operation_id: operationId, ...operatorJson(operator) });
    printPairs([
      ["password, shown this once", password],
      ["operator", `${operator.email}, signed out everywhere`],
    ]);
  });
}

async function changed(
  { json }: ActOptions,
  act: (db: Parameters<Parameters<typeof withDatabase>[0]>[0]) => Promise<OperatorChange>,
): Promise<void> {
  await withDatabase(async (db) => {
    const outcome = await act(db);
    if (outcome.outcome === "unknown_operator") throw new Problem(nobody);
    if (outcome.outcome === "last_admin")
      throw new Problem("This is the last active admin: nobody could manage operators any more.");
    const already = outcome.outcome === "repeated";
    if (json)
      return printJson({
        ...(already ? {} : { operation_id: outcome.operationId }),
        ...operatorJson(outcome.operator),
      });
    const { email, role, status, sessions } = outcome.operator;
    print(`${already ? "It was so before" : "Done"}: ${email} is ${status}, ${role}, with ${sessions} open sessions.`);
  });
}

function operatorJson({ id, email, name, role, status, signsInBy, sessions, lastSignInAt, createdAt }: Operator) {
  return {
    id,
    email,
    name,
    role,
    status,
    signs_in_by: signsInBy,
    sessions,
    last_sign_in_at: lastSignInAt,
    created_at: createdAt,
  };
}
