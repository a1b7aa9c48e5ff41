// A real OpenID provider on a port, with people and their claims. Its pages take any password.
import { createServer, type RequestListener } from "node:http";
// @ts-expect-error It comes without types.
import Untyped from "oidc-provider";

type Claims = Record<string, unknown>;
const Provider = Untyped as new (issuer: string, options: object) => { callback: () => RequestListener };

export type IdentityProvider = { issuer: string; clientId: string; clientSecret: string; stop: () => Promise<void> };

/** `people`: claims by the name that is typed at its sign-in. */
export async function startIdentityProvider(
  port: number,
  redirectUri: string,
  people: Record<string, Claims>,
): Promise<IdentityProvider> {
  const issuer = `http://127.0.0.1:${port}`;
  const [clientId, clientSecret] = ["console", crypto.randomUUID()];
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        redirect_uris: [redirectUri],
        token_endpoint_auth_method: "client_secret_post",
      },
    ],
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "groups"] },
    findAccount: (_context: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
    features: { devInteractions: { enabled: true } },
  });
  const server = createServer(provider.callback());
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { issuer, clientId, clientSecret, stop };
}
