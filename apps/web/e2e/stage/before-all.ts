// Before the workers start: the template that their stages copy.
import { rm } from "node:fs/promises";
import { keepTestFilesInMemory } from "@drawdown/local-stack";
import { announceTemplate } from "./config.ts";
import { makeTemplate, wholeFolder } from "./template.ts";

export default async function beforeAll(): Promise<() => Promise<void>> {
  await keepTestFilesInMemory();
  const folder = await makeTemplate();
  announceTemplate(folder);
  return () => rm(wholeFolder(folder), { recursive: true, force: true });
}
