import { expect, test } from "vitest";
import { waitFor } from "../src/index.ts";

test("waiting returns what the condition answers, also after it threw", async () => {
  let looks = 0;
  const answer = await waitFor(
    () => {
      looks++;
      if (looks === 1) throw new Error("not yet");
      return looks === 3 ? "here" : undefined;
    },
    { timeoutMs: 5_000, what: "the third look", intervalMs: 1 },
  );
  expect(answer).toBe("here");
  expect(looks).toBe(3);
});

test("waiting ends at its deadline with an error that names what was awaited and the last failure", async () => {
  const refused = new Error("connection refused");
  const waiting = waitFor(() => Promise.reject(refused), { timeoutMs: 20, what: "the moon", intervalMs: 5 });
  await expect(waiting).rejects.toMatchObject({ message: "Waited 20 ms in vain for the moon.", cause: refused });
});
