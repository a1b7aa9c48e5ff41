/** A failure whose message is written for the person at the keyboard: shown without a stack, the command exits 1. */
export class Problem extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "Problem";
  }
}
