"use client";

import { useActionState } from "react";
import { type SignInState, signIn } from "@/app/sign-in/act.ts";

const nothingYet: SignInState = { email: "", problem: "none", waitSeconds: 0 };

export function SignInForm({ next, notice }: { next: string; notice: string }) {
  const [state, act, pending] = useActionState(signIn, nothingYet);
  const said = state.problem === "none" ? notice : describe(state);
  return (
    <form action={act} className="flex flex-col gap-4">
      <p role="alert" id="sign-in-said" className="empty:hidden">
        {said}
      </p>
      <input type="hidden" name="next" value={next} />
      <label className="flex flex-col gap-1">
        Email
        <input
          name="email"
          type="email"
          autoComplete="username"
          required
          defaultValue={state.email}
          className="rounded border px-3 py-2"
        />
      </label>
      <label className="flex flex-col gap-1">
        Password
        <input
          name="password"
          type="password"
          autoComplete="current-password"
          required
          className="rounded border px-3 py-2"
        />
      </label>
      <button type="submit" disabled={pending} className="rounded border px-3 py-2 font-medium">
        Sign in
      </button>
    </form>
  );
}

function describe({ problem, waitSeconds }: SignInState): string {
  switch (problem) {
    case "none":
      return "";
    case "wrong":
      return "The e-mail or the password is wrong.";
    case "disabled":
      return "This operator is disabled. An admin can enable it again.";
    case "limited":
      return `Too many attempts. Try again in ${waitSeconds} seconds.`;
    case "unavailable":
      return "Postgres cannot be reached, so nobody can sign in now. Try again in a moment.";
  }
}
