// Who writes a name may write ten thousand letters without a space; a browser takes seconds to break that into lines of which two are shown.
const MOST = 300;

/** The beginning of a text where it stands in a line or two; the page of the thing itself has the whole. */
export function excerpt(text: string): string {
  return text.length <= MOST ? text : `${text.slice(0, MOST)}…`;
}
