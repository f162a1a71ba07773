/** Requests to the server, repeated until there is a reply. */

import { setNotice } from "./notices";
import type { State } from "./types";
import { backOff } from "./waiting";

const TIMEOUT_MS = 15_000;

/** A reply that says no. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    /** Where the session stands, if the server said. */
    readonly state: State | null,
  ) {
    super(code);
  }
}

interface Request {
  token?: string | undefined;
  body?: object;
  /** Lets a page that is being closed finish the request. */
  keepalive?: boolean;
}

/** Ask once; network failures reject with what fetch rejects with. */
export async function ask<Reply>(path: string, request: Request = {}): Promise<Reply> {
  const { token, body, keepalive = false } = request;
  const headers: Record<string, string> = {};
  if (token) headers["Authorization"] = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const reply = await fetch(`/api/${path}`, {
    method: body ? "POST" : "GET",
    headers,
    keepalive,
    cache: "no-store",
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  if (reply.status === 204) return undefined as Reply;
  const content = await reply.json().catch(() => {
    if (reply.ok) throw new TypeError("the reply broke off");
    return {};
  });
  if (reply.ok) return content as Reply;
  throw new Refusal(
    reply.status,
    typeof content.error === "string" ? content.error : `http-${reply.status}`,
    content.state ?? null,
  );
}

/** Ask until the server replies; only what it refuses is an error. */
export async function insist<Reply>(path: string, request: Request = {}): Promise<Reply> {
  for (let failures = 0; ; failures += 1) {
    try {
      const reply = await ask<Reply>(path, request);
      setNotice("answers", false);
      return reply;
    } catch (error) {
      if (error instanceof Refusal && !isPassing(error.status)) {
        setNotice("answers", false);
        throw error;
      }
      setNotice("answers", true);
      await backOff(failures);
    }
  }
}

function isPassing(status: number): boolean {
  return status >= 500 || status === 429 || status === 408;
}
