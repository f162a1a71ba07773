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

/** No reply of our server: none at all, or a page that somebody between us sent. */
export class NoReply extends Error {}

interface Request {
  token?: string | undefined;
  body?: object;
  /** Lets a page that is being closed finish the request. */
  keepalive?: boolean;
}

/** Ask once; network failures reject with what fetch rejects with. */
export async function ask<Reply>(path: string, request: Request = {}): Promise<Reply> {
  const { token, body, keepalive = false } = request;
  const headers: Record<string, string> = { Accept: "application/json" };
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
  const content: unknown = await reply.json().catch(() => null);
  if (typeof content !== "object" || content === null) {
    throw new NoReply(`http-${reply.status}`);
  }
  if (reply.ok) return content as Reply;
  const { error, state } = content as { error?: unknown; state?: State };
  if (typeof error !== "string") throw new NoReply(`http-${reply.status}`);
  throw new Refusal(reply.status, error, state ?? null);
}

/** Ask until the server replies; only what it refuses is an error. */
export async function insist<Reply>(
  path: string,
  request: Request | (() => Request) = {},
): Promise<Reply> {
  for (let failures = 0; ; failures += 1) {
    try {
      const now = typeof request === "function" ? request() : request;
      const reply = await ask<Reply>(path, now);
      setNotice("answers", null);
      return reply;
    } catch (error) {
      if (error instanceof Refusal && !isPassing(error.status)) {
        setNotice("answers", null);
        throw error;
      }
      setNotice("answers", trouble(error, failures));
      await backOff(failures);
    }
  }
}

/** Repeated failures of a browser that is online have causes that a person can mend. */
const FAILURES_BEFORE_ADVICE = 4;

function trouble(error: unknown, failures: number): "offline" | "blocked" | "busy" {
  if (error instanceof Refusal) return "busy";
  return failures >= FAILURES_BEFORE_ADVICE && navigator.onLine ? "blocked" : "offline";
}

function isPassing(status: number): boolean {
  return status >= 500 || status === 429 || status === 408;
}
