// What a process does until it dies at a named point: in a test of this process by an exception, in dying-process.ts by SIGKILL.
import {
  type AccountRef,
  type Act,
  applyCredits,
  type Billing,
  type ChargeRequest,
  type ConsumeSettings,
  charge,
  consume,
  repair,
  retain,
  runOperation,
} from "../src/index.ts";

export type Role =
  | { role: "worker"; consumer: string; settings?: Partial<ConsumeSettings> }
  | { role: "listener" }
  | { role: "gateway"; request: Omit<ChargeRequest, "costNanos"> & { cost: string } }
  | { role: "replay"; operationId: string }
  | { role: "repair"; account: AccountRef; act: Act }
  | { role: "retention"; directory: string; act: Act }
  /** Only opens its handle, which lets it past the fence. */
  | { role: "opener" };

/** Resolves when the role is done, or its signal aborts; rejects when it dies. */
export async function play(role: Role, billing: Billing, databaseUrl: string, signal: AbortSignal): Promise<void> {
  switch (role.role) {
    case "worker":
      return await consume({
        billing,
        consumer: role.consumer,
        signal,
        settings: { blockTimeMs: 500, ...role.settings },
      });
    case "listener":
      return await applyCredits({ billing, databaseUrl, signal });
    case "gateway":
      return void (await charge(billing, { ...role.request, costNanos: BigInt(role.request.cost) }));
    case "replay":
      return void (await runOperation(billing, role.operationId, signal));
    case "repair":
      return void (await repair(billing, role.account, role.act));
    case "retention":
      return await retainAll(billing, role.directory, role.act);
    case "opener":
      return;
  }
}

/** Everything that is settled is old enough; in the smallest files and batches that there can be. */
export async function retainAll(billing: Billing, directory: string, act: Act): Promise<void> {
  const before = new Date(Date.now() + 60_000);
  await retain(billing, { before, directory, limits: { fileLines: 3, batchLines: 1 } }, act);
}
