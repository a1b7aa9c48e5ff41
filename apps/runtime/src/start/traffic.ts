// Light demo traffic over HTTP, as customers would send it, so that there is something to look at.

import { setTimeout as pause } from "node:timers/promises";
import type { Billing } from "@drawdown/billing";
import { dieWith } from "../demo/troubles.ts";

const pauseMs = 400;
const longestPauseMs = 15_000;
/** A live worker takes such an entry over after eight to ten seconds. */
const deathsApartMs = 12_000;

type Traffic = { gatewayUrl: string; apiKeys: readonly string[] };

const questions = [
  "What does a balance of 98.50 leave after a call for 1.50?",
  "Name three ways in which a ledger can lie.",
  "Summarise the difference between a hold and a charge.",
  "Write a haiku about a stream that is never trimmed by length.",
  "Which of two numbers is right when they differ by one nano?",
];

/** Sends requests until the signal, one at a time, and slower while they fail. Ends when the last one is answered. */
export async function sendTraffic(traffic: Traffic, signal: AbortSignal): Promise<void> {
  let waitMs = pauseMs;
  for (let number = 0; !signal.aborted; number++) {
    const succeeded = await sendOne(traffic, number).catch(() => false);
    waitMs = succeeded ? pauseMs : Math.min(waitMs * 2, longestPauseMs);
    await pause(waitMs, undefined, { signal }).catch(() => {});
  }
}

/** Lets a worker die with an entry now and then, so that one is to be seen that waits for another worker. Ends with the signal. */
export async function dieNowAndThen(billing: Billing, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    // A store that is away has troubles enough.
    await dieWith(billing, `ded_${Date.now()}_died`).catch(() => {});
    await pause(deathsApartMs, undefined, { signal }).catch(() => {});
  }
}

/** One request, its answer read to the end. Which one follows from its number. */
export async function sendOne({ gatewayUrl, apiKeys }: Traffic, number: number): Promise<boolean> {
  const apiKey = apiKeys[number % apiKeys.length] ?? "";
  const content = questions[number % questions.length];
  const { path, body } = requests(content)[number % 3] ?? { path: "/v1/balance", body: {} };
  const response = await fetch(`${gatewayUrl}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  await response.arrayBuffer();
  return response.ok;
}

function requests(content: string | undefined) {
  const messages = [{ role: "user", content }];
  return [
    { path: "/v1/chat/completions", body: { model: "gpt-4o-mini", messages, max_tokens: 120 } },
    { path: "/v1/chat/completions", body: { model: "gpt-4o", messages, max_tokens: 60, stream: true } },
    {
      path: "/v1/charges",
      body: {
        provider: "anthropic",
        model: "claude-sonnet-4-5",
        usage: { input_tokens: 420, output_tokens: 96 },
        request_id: crypto.randomUUID(),
      },
    },
  ];
}
