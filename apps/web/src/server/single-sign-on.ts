// Single sign-on by OpenID Connect. The identity provider says who somebody is, the settings say which of its claims is which role. Whoever
// may come in is made an operator, or given his role, as an act on record; better-auth then finds the operator by his e-mail, and
// makes none itself.

import type { OperatorRole } from "@drawdown/db";
import { genericOAuth } from "better-auth/plugins/generic-oauth";
import { readConfig, type SingleSignOn } from "@/server/config.ts";
import { domain } from "@/server/domain.ts";
import { db } from "@/server/stores.ts";

export const PROVIDER = "oidc";

type Claims = Record<string, unknown>;

/** `kept`: as an admin has set it, with the role for who is new. */
type Admission = { admit: "role" | "kept"; role: OperatorRole } | { admit: "known" } | { admit: "no" };

export function singleSignOnPlugin({ issuer, clientId, clientSecret, name, scopes }: SingleSignOn) {
  return genericOAuth({
    config: [
      {
        providerId: PROVIDER,
        name,
        clientId,
        ...(clientSecret === undefined ? {} : { clientSecret }),
        discoveryUrl: `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`,
        // Else an unreachable provider would be one whose word is not checked.
        requireIdTokenVerification: true,
        scopes,
        disableSignUp: true,
        mapProfileToUser: async (profile) => {
          await provision(profile);
          return {};
        },
      },
    ],
  });
}

/** Why these claims let nobody in; undefined when they do. */
export function refusalOf(claims: Claims): { error: string } | undefined {
  if (claims["email_verified"] === false || claims["emailVerified"] === false) return { error: "email_not_verified" };
  return admission(claims).admit === "no" ? { error: "not_allowed" } : undefined;
}

/** Runs once the provider's answer is verified, before the operator is looked for. */
async function provision(claims: Claims): Promise<void> {
  const { email, name } = claims;
  const admitted = admission(claims);
  if (typeof email !== "string" || refusalOf(claims) || !("role" in admitted)) return;
  const { role, admit } = admitted;
  const person = { email, name: typeof name === "string" ? name.slice(0, 128) : "", role, ifNew: admit === "kept" };
  const act = { actor: "single sign-on", role: "admin", reason: `claims of ${readConfig().singleSignOn?.issuer}` };
  await domain.admitOperator({ db: db() }, person, act);
}

function admission(claims: Claims): Admission {
  const { roles, roleClaim, others } = readConfig().singleSignOn ?? {};
  if (roles === undefined) return others === "viewer" ? { admit: "kept", role: "viewer" } : { admit: "known" };
  const found = new Set(valuesOf(claims, roleClaim ?? "").map((value) => roles.get(value)));
  const highest = (["admin", "support", "viewer"] as const).find((role) => found.has(role));
  if (highest !== undefined) return { admit: "role", role: highest };
  return others === "viewer" ? { admit: "role", role: "viewer" } : { admit: "no" };
}

/** The claim of this name, or at this path: `realm_access.roles`. */
function valuesOf(claims: Claims, name: string): string[] {
  let at: unknown = claims[name];
  if (at === undefined) {
    at = claims;
    for (const step of name.split(".")) at = typeof at === "object" && at !== null ? (at as Claims)[step] : undefined;
  }
  return (Array.isArray(at) ? at : [at]).filter((value) => typeof value === "string");
}
