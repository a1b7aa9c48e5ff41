// A process that migrates: `node migrate-once.ts <database url>`.
import { migrate } from "../src/index.ts";

await migrate(process.argv[2] ?? "", { onProgress: (line) => process.stdout.write(`${line}\n`) });
