// The only reader of the environment in this package.

/** The folders of PATH, in order. */
export function searchPath(): string[] {
  return (process.env.PATH ?? "").split(":").filter((folder) => folder !== "");
}

/** The environment that a server process gets: nothing of the caller's but the way to find system programs. */
export function serverEnvironment(): Record<string, string> {
  return { PATH: process.env.PATH ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };
}

/** The environment that a package manager gets: the caller's (proxies, mirrors), asking no questions. */
export function installerEnvironment(): Record<string, string> {
  const inherited = Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return { ...Object.fromEntries(inherited), DEBIAN_FRONTEND: "noninteractive", HOMEBREW_NO_AUTO_UPDATE: "1" };
}

/** An existing Postgres, named by the user, on which the live suites may create databases. */
export function givenTestDatabaseUrl(): string | undefined {
  return process.env.TEST_DATABASE_URL || undefined;
}

/** For this process and those it starts. */
export function keepTemporaryFilesIn(folder: string): void {
  process.env.TMPDIR = folder;
}

/** What the set-up of a test run tells the processes that run its test files. */
export type TestRun = { serverUrl: string; template: string; databasePrefix: string; dir: string };

const TEST_RUN = "DRAWDOWN_TEST_RUN";

export function currentTestRun(): TestRun | undefined {
  const written = process.env[TEST_RUN];
  return written === undefined ? undefined : (JSON.parse(written) as TestRun);
}

export function announceTestRun(run: TestRun | undefined): void {
  if (run === undefined) delete process.env[TEST_RUN];
  else process.env[TEST_RUN] = JSON.stringify(run);
}
