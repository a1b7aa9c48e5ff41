"use client";

// The two checks that change nothing: whether Redis agrees with the books (reconcile), and whether every movement from the opening credit
// to the balance now follows from the one before (verify the chain).
import type { ChainReport, Finding, Reconciliation } from "@drawdown/billing";
import type { AccountHeader } from "@drawdown/db";
import { useMutation } from "@tanstack/react-query";
import { CircleAlert, CircleCheck } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslations } from "use-intl";
import { PROGRAM } from "@/console/act-command.ts";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { useTRPC } from "@/trpc/client.ts";
import { Amount } from "@/ui/amount.tsx";
import { Badge } from "@/ui/badge.tsx";
import { Button } from "@/ui/button.tsx";
import { CodeBlock } from "@/ui/code.tsx";
import { Dialog } from "@/ui/dialog.tsx";
import { Disclosure } from "@/ui/disclosure.tsx";
import { KeyValues } from "@/ui/key-values.tsx";

type Check = "reconcile" | "verify";
type Props = { open: boolean; onOpenChange: (open: boolean) => void; account: AccountHeader; check: Check };

const COMMANDS: Record<Check, string> = { reconcile: "reconcile", verify: "verify-chain" };

export function CheckDialog({ open, onOpenChange, account, check }: Props) {
  const t = useTranslations("accounts.check");
  return (
    <Dialog
      open={open}
      onOpenChange={onOpenChange}
      title={t(`${check}.title`)}
      description={t(`${check}.description`)}
      size="large"
    >
      {open && <Run account={account} check={check} />}
    </Dialog>
  );
}

function Run({ account, check }: Pick<Props, "account" | "check">) {
  const t = useTranslations("accounts.check");
  const trpc = useTRPC();
  const reconcile = useMutation(trpc.account.reconcile.mutationOptions());
  const verify = useMutation(trpc.account.verifyChain.mutationOptions());
  const running = check === "reconcile" ? reconcile : verify;
  const { id: accountId } = account;
  return (
    <div className="grid grid-cols-1 gap-4">
      <output className="grid grid-cols-1 gap-3">
        {running.isError && <FaultNotice error={running.error} beside />}
        {check === "reconcile" && reconcile.isSuccess && <Reconciled found={reconcile.data} />}
        {check === "verify" && verify.isSuccess && <Verified report={verify.data} />}
      </output>
      <Disclosure label={t("command")}>
        <CodeBlock text={`${PROGRAM} ${COMMANDS[check]} --account=${accountId}`} what={t("command")} />
      </Disclosure>
      <div className="flex justify-end">
        <Button look="primary" busy={running.isPending} onClick={() => running.mutate({ accountId })}>
          {running.isSuccess ? t("again") : t(`${check}.verb`)}
        </Button>
      </div>
    </div>
  );
}

function Verdict({ good, children }: { good: boolean; children: ReactNode }) {
  const Icon = good ? CircleCheck : CircleAlert;
  return (
    <p className={`flex items-center gap-2 font-medium ${good ? "text-ok" : "text-critical"}`}>
      <Icon aria-hidden className="size-5 shrink-0" />
      <span>{children}</span>
    </p>
  );
}

function Reconciled({ found }: { found: Reconciliation | null }) {
  const t = useTranslations("accounts.check");
  if (found === null) return <Verdict good={false}>{t("gone")}</Verdict>;
  return (
    <>
      <Verdict good={found.ok}>
        {found.ok
          ? found.accounts === 0
            ? t("notLoaded")
            : t("agrees")
          : t("differs", { count: found.findings.length + found.left })}
      </Verdict>
      {found.findings.map((one) => (
        <FindingCard key={`${one.class} ${one.message}`} finding={one} />
      ))}
    </>
  );
}

function FindingCard({ finding }: { finding: Finding }) {
  const t = useTranslations("accounts.check");
  const { figures } = finding;
  const three = (name: "balance" | "debits") =>
    figures === null
      ? []
      : [
          { label: t("figure.redis", { name: t(name) }), value: <Amount value={figures.redis[name]} wrap /> },
          { label: t("figure.expected", { name: t(name) }), value: <Amount value={figures.expected[name]} wrap /> },
          {
            label: t("figure.difference", { name: t(name) }),
            value: <Amount value={figures.difference[name]} signed wrap />,
          },
        ];
  return (
    <section className="rounded-md border border-critical/40 px-3 py-2">
      <Badge tone="critical">{t(`class.${finding.class}`)}</Badge>
      <p className="mt-1 wrap-anywhere">{finding.message}</p>
      <KeyValues items={[...three("balance"), ...three("debits")]} />
      <p className="mt-1 text-sm text-quiet">{t(`help.${finding.class}`)}</p>
    </section>
  );
}

function Verified({ report }: { report: ChainReport | null }) {
  const t = useTranslations("accounts.check");
  if (report === null) return <Verdict good={false}>{t("gone")}</Verdict>;
  const { ok, links, lastSeq, problems, accepted } = report;
  return (
    <>
      <Verdict good={ok}>{ok ? t("sound", { links }) : t("broken", { count: problems.length })}</Verdict>
      <KeyValues
        items={[
          { label: t("links"), value: links },
          { label: t("lastSeq"), value: lastSeq },
          { label: t("accepted"), value: accepted.length },
        ]}
      />
      {problems.length > 0 && (
        <ul className="grid grid-cols-1 gap-1">
          {problems.map((one) => (
            <li
              key={`${one.kind} ${one.message}`}
              className="rounded-md border border-critical/40 px-3 py-2 wrap-anywhere"
            >
              <Badge tone="critical">{one.kind}</Badge> {one.message}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
