// What must be stopped when `npm start` ends, in the reverse order of its start: traffic before the gateway, the gateway
// before the worker, both before the servers. The end may come in the middle of the start, so what begins after it is
// stopped at once.

/** The start was told to end while it was still going on. */
class StoppedError extends Error {
  override name = "StoppedError";
}

export type Cleanup = {
  /** Registers something that runs. Throws StoppedError, having stopped it, when the end has come already. */
  add(name: string, stop: () => Promise<void>): Promise<void>;
  /** Stops everything. Returns one sentence for each thing that could not be stopped. */
  run(): Promise<string[]>;
};

export function openCleanup(): Cleanup {
  const running: { name: string; stop: () => Promise<void> }[] = [];
  let ended = false;
  return {
    add: async (name, stop) => {
      if (ended) {
        await stop();
        throw new StoppedError(`${name} began after the end`);
      }
      running.push({ name, stop });
    },
    run: async () => {
      ended = true;
      const problems: string[] = [];
      for (let last = running.pop(); last !== undefined; last = running.pop()) {
        try {
          await last.stop();
        } catch (error) {
          problems.push(`${last.name} did not stop: ${error instanceof Error ? error.message : String(error)}`);
        }
      }
      return problems;
    },
  };
}
