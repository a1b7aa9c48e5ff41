// Reading streams without an object for each field. The client's parser makes one of every field and value of an entry, and thousands of entries
// come in one reply: to collect them took a third of a worker's time. So what a reading connection receives is folded before the parser sees it:
// the list of an entry's fields becomes one string of the very bytes of that list, which fields.ts reads. All else passes unchanged.
import type { Redis } from "ioredis";
import type { RedisClient } from "./redis.ts";

/**
 * How deep an entry's list of fields lies in what a connection answers: of streams, of each, of its entries, of each for XREADGROUP; of
 * entries, of each for XRANGE.
 */
export const FIELDS_DEPTH = { xreadgroup: 4, xrange: 2 } as const;
type Depth = (typeof FIELDS_DEPTH)[keyof typeof FIELDS_DEPTH];
/** A list that is longer, or in so many pieces, stays a list: what is kept of one connection is bounded. */
const MOST_BYTES = 256 * 1024;
/** `$<length>\r\n` and `\r\n`. */
const MOST_AROUND = 16;
const [DOLLAR, STAR, CR] = [0x24, 0x2a, 0x0d];

/** Folds what a client receives, on every connection that it makes from now on. It is to read streams by that one command. */
export function foldReplies(client: RedisClient, depth: Depth): void {
  const fold = (redis: Redis) => redis.on("connect", () => foldStream(redis, depth));
  if ("nodes" in client) client.on("+node", fold);
  else fold(client);
}

/** The client has attached its parser when it tells of a connection, and nothing was read before. */
function foldStream({ stream }: Redis, depth: Depth): void {
  const [parse] = stream.listeners("data");
  if (parse === undefined) throw new TypeError("the client does not listen to its connection");
  const folding = new Folding(depth);
  stream.removeListener("data", parse as () => void);
  stream.prependListener("data", (piece: Buffer) => {
    const folded = folding.push(piece);
    if (folded.length > 0) parse.call(stream, folded);
  });
}

/** What one connection receives, as it comes in pieces. */
export class Folding {
  readonly #depth: Depth;
  /** How many elements each array lacks that has begun and is not over, the outermost first. */
  readonly #open: number[] = [];
  /** A token, or a list to be folded, that is not whole yet. */
  #rest: Buffer = Buffer.alloc(0);
  /** So much of a long string is still to come. */
  #skip = 0;

  constructor(depth: Depth) {
    this.#depth = depth;
  }

  /** Returns what was not returned before and is known to be whole, folded. */
  push(piece: Buffer): Buffer {
    const bytes = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    const folds: number[] = [];
    const end = this.#scan(bytes, folds);
    this.#rest = bytes.subarray(end);
    return folds.length === 0 ? bytes.subarray(0, end) : write(bytes, end, folds);
  }

  /** Notes where the lists begin and end that are whole, and returns up to where all is. */
  #scan(bytes: Buffer, folds: number[]): number {
    const open = this.#open;
    let at = this.#skip;
    while (at < bytes.length) {
      const next = afterLine(bytes, at);
      if (next === -1) break;
      const type = bytes[at];
      const count = type === DOLLAR || type === STAR ? numberAt(bytes, at + 1) : -1;
      const listEnd = type === STAR && count > 0 && open.length === this.#depth ? afterStrings(bytes, next, count) : 0;
      if (listEnd === -1 && bytes.length - at < MOST_BYTES) break;
      if (listEnd > 0) folds.push(at, listEnd);
      else if (type === STAR && count > 0) open.push(count + 1);
      at = listEnd > 0 ? listEnd : type === DOLLAR && count >= 0 ? next + count + 2 : next;
      for (let last = open.length - 1; last >= 0; last--) {
        const left = (open[last] ?? 0) - 1;
        open[last] = left;
        if (left > 0) break;
        open.pop();
      }
    }
    this.#skip = Math.max(0, at - bytes.length);
    return Math.min(at, bytes.length);
  }
}

/** Where the line that begins at `at` is over; -1 when it is not whole. */
function afterLine(bytes: Buffer, at: number): number {
  for (let i = at + 1; i + 1 < bytes.length; i++) if (bytes[i] === CR) return i + 2;
  return -1;
}

/** The length before a line's end; below 0 for `-1`. */
function numberAt(bytes: Buffer, at: number): number {
  let number = 0;
  for (let i = at; bytes[i] !== CR; i++) number = number * 10 + (bytes[i] ?? 0) - 0x30;
  return number;
}

/** Where so many strings are over; -1 when they are not whole; 0 when one of them is no string. */
function afterStrings(bytes: Buffer, from: number, count: number): number {
  let at = from;
  for (let i = 0; i < count; i++) {
    if (at >= bytes.length) return -1;
    if (bytes[at] !== DOLLAR) return 0;
    let length = 0;
    for (at++; bytes[at] !== CR; at++) {
      const digit = bytes[at];
      if (digit === undefined) return -1;
      length = length * 10 + digit - 0x30;
    }
    if (length < 0) return 0;
    at += length + 4;
  }
  return at > bytes.length ? -1 : at;
}

function write(bytes: Buffer, end: number, folds: readonly number[]): Buffer {
  const out = Buffer.allocUnsafe(end + (folds.length / 2) * MOST_AROUND);
  let to = 0;
  let from = 0;
  for (let i = 0; i < folds.length; i += 2) {
    const [start = 0, stop = 0] = [folds[i], folds[i + 1]];
    to += bytes.copy(out, to, from, start);
    to += out.write(`$${stop - start}\r\n`, to, "latin1");
    to += bytes.copy(out, to, start, stop);
    to += out.write("\r\n", to, "latin1");
    from = stop;
  }
  return out.subarray(0, to + bytes.copy(out, to, from, end));
}
