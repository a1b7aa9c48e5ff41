import type { Metadata } from "next";

export const metadata: Metadata = { title: "Sign in" };

export default function SignIn() {
  return (
    <main>
      <h1>Sign in</h1>
    </main>
  );
}
