// Who may do what: each role may do what those before it may.

export const ROLES = ["viewer", "support", "admin"] as const;
export type Role = (typeof ROLES)[number];

/** Whether `role` may do what `least` may. */
export function mayAs(role: Role, least: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(least);
}
