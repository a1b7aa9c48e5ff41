/** The opponent of the gateway: a Fastify reverse proxy that knows no keys, no prices and no balances. Its address is printed when it listens. */
import Fastify from "fastify";
import { Agent, request } from "undici";

const [upstream = ""] = process.argv.slice(2);
// As many connections, kept as long, as the gateway has.
const dispatcher = new Agent({ keepAliveTimeout: 10_000 });
const app = Fastify({ logger: false, bodyLimit: 16 * 1024 * 1024 });
app.removeAllContentTypeParsers();
app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
app.post("/*", async (asked, reply) => {
  const answer = await request(`${upstream}${asked.url}`, {
    method: "POST",
    dispatcher,
    headers: { "content-type": "application/json", authorization: "Bearer bench" },
    body: asked.body as Buffer,
  });
  const type = answer.headers["content-type"];
  return reply.code(answer.statusCode).type(String(type)).send(answer.body);
});
process.stdout.write(`${await app.listen({ host: "127.0.0.1", port: 0 })}\n`);
