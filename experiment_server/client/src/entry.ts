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
