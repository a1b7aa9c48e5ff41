"use client";

// Plain labels and inputs: they belong together before the page's code has loaded, and without it.
import { useActionState } from "react";
import { useTranslations } from "use-intl";
import { type SignInState, signIn } from "@/app/sign-in/act.ts";
import { Button, buttonClass } from "@/ui/button.tsx";

const nothingYet: SignInState = { email: "", problem: "none", waitSeconds: 0 };

type SignInFormProps = {
  /** Where to go then. */
  next: string;
  /** Why one is here, until a sign-in says something else. */
  notice: string;
  /** Its name, where there is one. */
  singleSignOn: string | undefined;
};

export function SignInForm({ next, notice, singleSignOn }: SignInFormProps) {
  const t = useTranslations("signIn");
  const [{ email, problem, waitSeconds }, act, pending] = useActionState(signIn, nothingYet);
  const said = problem === "none" ? notice : t(`problems.${problem}`, { seconds: waitSeconds });
  return (
    <form action={act} className="grid gap-4">
      {said !== "" && (
        <p role="alert" className="rounded-md border border-line-mid bg-sunken px-3 py-2 text-sm">
          {said}
        </p>
      )}
      <input type="hidden" name="next" value={next} />
      <label className="grid gap-1 text-sm font-medium">
        {t("email")}
        <input
          name="email"
          type="email"
          autoComplete="username"
          required
          defaultValue={email}
          className="control w-full font-normal"
        />
      </label>
      <label className="grid gap-1 text-sm font-medium">
        {t("password")}
        <input
          name="password"
          type="password"
          autoComplete="current-password"
          required
          maxLength={128}
          className="control w-full font-normal"
        />
      </label>
      <Button type="submit" look="primary" busy={pending}>
        {t("button")}
      </Button>
      {singleSignOn !== undefined && (
        <>
          <p className="text-center text-sm text-quiet">{t("or")}</p>
          <a href={`/api/auth/oidc?next=${encodeURIComponent(next)}`} className={buttonClass({})}>
            {t("with", { name: singleSignOn })}
          </a>
        </>
      )}
    </form>
  );
}
