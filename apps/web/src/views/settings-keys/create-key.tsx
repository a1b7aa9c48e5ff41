"use client";

// A new key. Its secret stands in this dialog's memory while it is open, and nowhere else: not in what queries and acts remember.
import type { CreateKeyOutcome } from "@drawdown/billing";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { impactOf } from "@/console/act.ts";
import { useCommand } from "@/console/act-command.ts";
import { ActDialog } from "@/console/act-dialog.tsx";
import { useTRPCClient } from "@/trpc/client.ts";
import { CodeBlock } from "@/ui/code.tsx";
import { TextField } from "@/ui/text-field.tsx";
import { KeyFields } from "@/views/settings-keys/key-fields.tsx";
import { blankKey, limitsOf, problemsOf } from "@/views/settings-keys/key-form.ts";

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

type Made = Exclude<CreateKeyOutcome, { outcome: "created" }> | { outcome: "created"; virtualKey: string };

type Props = {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  /** The account that the list is filtered by. */
  accountId?: string | undefined;
  onDone: () => void;
};

export function CreateKey({ open, onOpenChange, accountId = "", onDone }: Props) {
  const t = useTranslations("keys");
  const { keys } = useTRPCClient();
  const [typed, setTyped] = useState<Payer>();
  const [text, setText] = useState(blankKey);
  const [secret, setSecret] = useState("");
  const payer = typed ?? { account: accountId, user: "" };
  const whose = whoseOf(payer);
  const problems = problemsOf(text);
  const complete = whose !== undefined && Object.keys(problems).length === 0;
  const command = useCommand(complete ? { act: "create_key", ...whose, ...limitsOf(text) } : undefined);
  const outcome = (result: Made) => <Outcome result={result} secret={secret} />;
  return (
    <ActDialog<Made>
      open={open}
      onOpenChange={(next) => {
        if (!next) {
          setSecret("");
          setText(blankKey);
          setTyped(undefined);
        }
        onOpenChange(next);
      }}
      title={t("create")}
      impact={impactOf(1)}
      verb={t("createVerb")}
      prepared={complete}
      command={command}
      act={async (why) => {
        const result = await keys.create.mutate({ whose: whose ?? {}, limits: limitsOf(text), ...why });
        if (result.outcome !== "created") return result;
        const { virtualKey } = result.key;
        setSecret(`${virtualKey}.${result.secret}`);
        return { outcome: "created", virtualKey };
      }}
      refused={(result) =>
        result.outcome === "refused"
          ? t(result.reason === "ambiguous_user" ? "ambiguousUser" : "unknownOwner")
          : undefined
      }
      outcome={outcome}
      onDone={onDone}
    >
      <PayerFields value={payer} onChange={setTyped} />
      <KeyFields value={text} problems={problems} onChange={setText} />
    </ActDialog>
  );
}

function Outcome({ result, secret }: { result: Made; secret: string }) {
  const t = useTranslations("keys");
  if (result.outcome === "refused") return null;
  if (result.outcome === "repeated") return <p>{t("createRepeated", { key: result.key.virtualKey })}</p>;
  return (
    <div className="grid gap-3">
      <p className="wrap-anywhere">{t("created", { key: result.virtualKey })}</p>
      <CodeBlock text={secret} what={t("secret")} />
      <p className="text-sm text-warning">{t("secretOnce")}</p>
    </div>
  );
}

type Payer = { account: string; user: string };

/** Undefined where nobody is named, or what is typed is no id. */
function whoseOf({ account, user }: Payer): { accountId?: string; userId?: string } | undefined {
  const [accountId, userId] = [account.trim(), user.trim()];
  if ((accountId === "" && userId === "") || isWrong(accountId) || isWrong(userId)) return undefined;
  return { ...(accountId === "" ? {} : { accountId }), ...(userId === "" ? {} : { userId }) };
}

function isWrong(typed: string): boolean {
  return typed.trim() !== "" && !ID.test(typed.trim());
}

function PayerFields({ value, onChange }: { value: Payer; onChange: (value: Payer) => void }) {
  const t = useTranslations("keys.field");
  return (
    <div className="grid gap-4 sm:grid-cols-2">
      {(["account", "user"] as const).map((name) => (
        <TextField
          key={name}
          label={t(name)}
          hint={t(`${name}Hint`)}
          value={value[name]}
          onChange={(next) => onChange({ ...value, [name]: next })}
          error={isWrong(value[name]) && t("notId")}
          autoComplete="off"
          mono
        />
      ))}
    </div>
  );
}
