/** Ends the session and leaves the console. Rejects when the server could not be asked. */
export async function signOut(): Promise<void> {
  const answer = await fetch("/api/auth/sign-out", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  if (!answer.ok) throw new Error(`Signing out was answered with ${answer.status}.`);
  window.location.assign("/sign-in");
}
