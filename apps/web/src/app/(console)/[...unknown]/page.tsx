import { notFound } from "next/navigation";

/** Every address that no page has: answered within the console's frame. */
export default function Unknown() {
  notFound();
}
