/** Who comes, as the address of the page tells. */

/** Names that recruiters give to a participant's identity. */
const PARTICIPANT = ["participant", "PROLIFIC_PID", "workerId"];

export interface Entry {
  participant: string | null;
  test_run: boolean;
  /** Name of a simulated observer. */
  observer: string | null;
}

export function readEntry(query: string): Entry {
  const given = new URLSearchParams(query);
  const named = PARTICIPANT.map((name) => given.get(name)).find(Boolean);
  return {
    participant: named ?? null,
    test_run: given.get("test_run") === "1",
    observer: given.get("observer") || null,
  };
}

/** Whether the link is of the session that is kept; a bare link names nobody. */
export function isSame(entry: Entry, kept: Entry): boolean {
  const isNamed = entry.participant !== null;
  return (
    (!isNamed || entry.participant === kept.participant) &&
    entry.test_run === kept.test_run &&
    entry.observer === kept.observer
  );
}
