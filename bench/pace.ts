// A thread that wakes the one which measures five thousand times a second: finer than its timers, and unlike a loop that looks at the clock it
// leaves the processor to what is measured.
import { parentPort } from "node:worker_threads";

const BETWEEN_MS = 0.2;

const nobody = new Int32Array(new SharedArrayBuffer(4));
for (;;) {
  Atomics.wait(nobody, 0, 0, BETWEEN_MS);
  parentPort?.postMessage(null); // oxlint-disable-line unicorn/require-post-message-target-origin -- a port has no origin
}
