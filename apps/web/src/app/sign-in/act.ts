"use server";

import { isAPIError } from "better-auth/api";
// Signing in. A form of the server: it works before the page's code has loaded and without it, and never puts a password into an address.
import { parseSetCookieHeader, toCookieOptions } from "better-auth/cookies";
import { cookies, headers } from "next/headers";
import { redirect } from "next/navigation";
import { authFor } from "@/server/auth.ts";
import { ownPath } from "@/server/own-path.ts";

export type SignInState = {
  email: string;
  /** Seconds to wait with `limited`. */
  problem: "none" | "wrong" | "disabled" | "limited" | "unavailable";
  waitSeconds: number;
};

export async function signIn(_before: SignInState, form: FormData): Promise<SignInState> {
  const email = text(form, "email");
  const refused = (problem: SignInState["problem"], waitSeconds = 0) => ({ email, problem, waitSeconds });
  try {
    const given = await headers();
    const { api } = await authFor(given);
    const body = { email, password: text(form, "password") };
    const { headers: answered } = await api.signInEmail({ body, headers: given, returnHeaders: true });
    const jar = await cookies();
    for (const line of answered.getSetCookie())
      for (const [name, cookie] of parseSetCookieHeader(line)) jar.set(name, cookie.value, toCookieOptions(cookie));
  } catch (error) {
    if (!isAPIError(error)) {
      console.error("sign-in", error);
      return refused("unavailable");
    }
    if (error.status === "TOO_MANY_REQUESTS") return refused("limited", Number(error.body?.["retryAfterSeconds"] ?? 0));
    return refused(error.status === "FORBIDDEN" ? "disabled" : "wrong");
  }
  redirect(ownPath(text(form, "next")));
}

function text(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === "string" ? value : "";
}
