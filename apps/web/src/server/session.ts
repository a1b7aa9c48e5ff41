// Who is signed in.

export type Role = "viewer" | "support" | "admin";

export type Operator = { id: string; email: string; name: string; role: Role };

/** Nobody when the session is unknown, expired or revoked. */
export async function readOperator(_headers: Headers): Promise<Operator | undefined> {
  return undefined;
}
