import { redirect } from "next/navigation";

/** Settings are pages of their own; the first of them. */
export default function Page(): never {
  redirect("/settings/prices");
}
