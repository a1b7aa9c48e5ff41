// The named moments on the path of money. A test throws at one to make a crash between two writes, or waits for one
// instead of sleeping; metrics count them. docs/invariants.md lists what each window may leave behind.

/** Each has a test of its own that crashes there. */
export const observePoints = [
  "charge.sent", // the script is on its way: whether it ran is not known
  "charge.answered",
  "load.collected", // entries of the account collected, Postgres not read yet
  "load.read", // Postgres read, Redis not written yet
  "load.set",
  "credit.read", // the row was read, Redis not written yet
  "credit.applied",
  "credit.caught_up", // a catch-up pass has ended
  "credit.listening",
  "consume.read", // entries delivered, nothing written yet
  "settle.written", // rows written, not committed
  "settle.committed", // committed, not acked
  "consume.acked",
  "consume.claimed",
  "consume.waiting", // a store is down or refuses; the batch is kept
  "dead_letter.written", // kept as dead letter, not acked
  "replay.gathered", // a step of targets at hand, dead consumers' entries taken over, nothing settled yet
  "replay.settled", // committed; neither acked nor noted with the act
  "operation.recorded", // a step of an act is noted
  "fence.adopted",
  "fence.advanced",
  "fence.lost",
  "repair.recorded", // the act is on record, Redis not written yet
  "repair.applied", // Redis is written, the act not closed yet
  "retention.planned", // a file is on record with what it is to hold, nothing written yet
  "retention.written", // the file is there, its checksum not on record yet
  "retention.sealed", // its checksum is on record, nothing removed yet
  "retention.removed", // a batch of its rows is gone, more may follow
] as const;

export type ObservePoint = (typeof observePoints)[number];

export type Observe = (point: ObservePoint, detail?: Record<string, unknown>) => void;

export const unobserved: Observe = () => {};
