// What `npm start` says while it works: a line when something begins, and another whenever nothing was said for a while.

export type Progress = {
  say(line: string): void;
  /** Says what begins, and counts it as being done until the work ends. */
  during<T>(what: string, work: Promise<T>): Promise<T>;
  /** No more lines by itself. */
  end(): void;
};

const quietMs = 6_000;

export function openProgress(print: (line: string) => void): Progress {
  const doing = new Map<string, number>();
  let lastLineAt = performance.now();
  const say = (line: string) => {
    lastLineAt = performance.now();
    print(line);
  };
  const timer = setInterval(() => {
    const [oldest] = doing;
    if (oldest === undefined || performance.now() - lastLineAt < quietMs) return;
    const [what, since] = oldest;
    say(`… ${what}: ${Math.round((performance.now() - since) / 1_000)} s`);
  }, 1_000);
  return {
    say,
    during: async (what, work) => {
      say(what);
      doing.set(what, performance.now());
      try {
        return await work;
      } finally {
        doing.delete(what);
      }
    },
    end: () => clearInterval(timer),
  };
}
