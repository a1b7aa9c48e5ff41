import { Socket } from "node:net";
import { expect, test } from "vitest";
import { nameSender } from "../src/console/sender.ts";

/** The address that the pages are told. */
function told(header: string | undefined, proxies: number): string | undefined {
  const socket = Object.defineProperty(new Socket(), "remoteAddress", { value: "10.0.0.9" });
  const request = { headers: header === undefined ? {} : { "x-forwarded-for": header }, socket };
  nameSender(request, proxies);
  return [request.headers["x-forwarded-for"]].flat().join();
}

test("7: without proxies the sender is who is connected, whatever the request says", () => {
  expect(told(undefined, 0)).toBe("10.0.0.9");
  expect(told("1.2.3.4", 0)).toBe("10.0.0.9");
});

test("7: behind proxies the sender is who asked the outermost of them; what it said itself stands before and is not believed", () => {
  expect(told("6.6.6.6, 1.2.3.4", 1)).toBe("1.2.3.4");
  expect(told("6.6.6.6, 1.2.3.4, 10.0.0.1", 2)).toBe("1.2.3.4");
  // A request that went past the proxies has fewer addresses than there are proxies.
  expect(told("1.2.3.4", 2)).toBe("10.0.0.9");
  expect(told(undefined, 1)).toBe("10.0.0.9");
});
