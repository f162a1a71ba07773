/** The study's pages in one browser tell each other which of them is in use. */

interface Opened {
  key: string;
  participant: string | null;
}

export class Tabs {
  readonly #channel: BroadcastChannel | null;

  constructor(studyId: string) {
    this.#channel =
      "BroadcastChannel" in window ? new BroadcastChannel(`unitscope.${studyId}`) : null;
  }

  /** Tell the others that this page goes on with a session. */
  announce(opened: Opened): void {
    this.#channel?.postMessage(opened);
  }

  /** Call back when another page goes on with the same session. */
  onTakenOver(ours: Opened, react: () => void): void {
    if (!this.#channel) return;
    this.#channel.onmessage = ({ data }: MessageEvent<Opened>) => {
      const isPerson =
        ours.participant !== null && data.participant === ours.participant;
      if (isPerson || data.key === ours.key) react();
    };
  }
}
