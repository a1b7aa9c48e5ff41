// What bench/ needs to measure the lists of the console.
export { fillBooks } from "./fill-books.ts";
export { deductionFilters, namedDeductions, trailFilters } from "./growing-lists.ts";
