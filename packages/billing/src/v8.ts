// What a process that charges or settles tells V8: never to make objects in the old generation from the start. V8 does so for what survived
// often, which is what a backlog does to the objects of a charge; later ones then wait for a full collection though they are needed for
// milliseconds, and every quick one has to copy what they hold (docs/decisions/0134-what-was-sent-is-let-go.md).
import { setFlagsFromString } from "node:v8";

setFlagsFromString("--no-allocation-site-pretenuring");
