const COMING = [
  ["Overview", "Is it healthy? Charges per second, settle lag, backlog, dead letters, alerts."],
  ["Accounts", "The balance in Redis beside the settled one, what explains the difference, and the audit trail."],
  ["Trace", "One deduction from its charge through the stream to its usage_log row, hop by hop."],
  ["Streams and dead letters", "What waits, what failed and why; replay and cleanup with a preview."],
] as const;

const TODAY = [
  ["npm run drawdown -- balance <account>", "both balances of an account"],
  ["npm run drawdown -- trace <id>", "the way of one deduction"],
  ["npm run drawdown -- stats", "the streams, their backlog and their consumers"],
] as const;

/** What stands here until the console is built: no figures, for there is nothing yet to read them from. */
export default function Home() {
  return (
    <main>
      <p className="name">Drawdown</p>
      <h1>The operator console is not built yet</h1>
      <p className="lead">
        It will explain every balance: from the deduction in Redis, through the stream, to the row in Postgres. This
        page only answers to show that the console&rsquo;s process runs.
      </p>
      <section aria-labelledby="today">
        <h2 id="today">Until then, the command line answers</h2>
        <dl className="commands">
          {TODAY.map(([command, answer]) => (
            <div key={command}>
              <dt>
                <code>{command}</code>
              </dt>
              <dd>{answer}</dd>
            </div>
          ))}
        </dl>
      </section>
      <section aria-labelledby="coming">
        <h2 id="coming">What will be here</h2>
        <ul className="coming">
          {COMING.map(([page, purpose]) => (
            <li key={page}>
              <h3>{page}</h3>
              <p>{purpose}</p>
            </li>
          ))}
        </ul>
      </section>
    </main>
  );
}
