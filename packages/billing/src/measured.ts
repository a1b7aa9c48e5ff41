// What only bench/ needs of the inside.
export { chargeCommand } from "./charge.ts";
export { setAccounts } from "./load.ts";
