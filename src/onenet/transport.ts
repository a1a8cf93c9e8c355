import { buildConnector } from 'undici';

import {
  type Connection,
  type ConnectionOptions,
  createConnection,
  type HttpRequest,
  type HttpResponse,
} from './connection.ts';

/**
 * How long a new connection cools down after its first response, to catch an upstream that sends excess bytes; one that
 * does so usually does so from the start.
 */
const FIRST_COOLDOWN_MS = 10;

export interface Transport {
  /** The number of requests in flight. */
  readonly inFlight: number;
  /** Milliseconds after which a request times out; later only if this process is stalled. */
  readonly timeoutMs: number;
  /**
   * Sends one GET and collects the response.
   *
   * @param request.fresh Whether to open a new connection; a retry does, since other kept connections may be lost as
   * well.
   * @param onEnd Called once: with the response; with an `OneNetError` if there is no complete response in time, or it
   * is malformed, too large or compressed; or with the error that the request was aborted with.
   * @param onFree Called once, at the end or shortly after, when another request may take this one's place.
   * @returns Aborts the request with an error. Do not call it after the request has ended: its connection may already
   * carry another.
   */
  get(
    request: HttpRequest & { readonly fresh: boolean },
    onEnd: (result: HttpResponse | Error) => void,
    onFree: () => void,
  ): (error: Error) => void;
  /** Closes every connection, including those in use. */
  close(): Promise<void>;
}

/**
 * A pool of connections to OneNET. Each request has a connection to itself, so no response can reach another call;
 * there are as many connections as there were concurrent requests at most. A connection is reused only after a flawless
 * 200 and a cooldown: anything that arrives during the cooldown is unsolicited and closes the connection.
 */
export function createTransport(options: Omit<ConnectionOptions, 'connector'>): Transport {
  const connector = buildConnector({ timeout: options.timeoutMs });
  const connections = new Set<Connection>();
  const idle: Connection[] = [];
  const coolDown = createCooldown();
  let inFlight = 0;

  function connect(): Connection {
    const connection = createConnection({ ...options, connector });
    connections.add(connection);
    return connection;
  }

  async function drop(connection: Connection): Promise<void> {
    connections.delete(connection);
    await connection.close();
  }

  return {
    get inFlight() {
      return inFlight;
    },
    timeoutMs: options.timeoutMs,
    get(request, onEnd, onFree) {
      inFlight++;
      const kept = idle.pop();
      if (request.fresh && kept !== undefined) void drop(kept);
      const connection = request.fresh ? connect() : (kept ?? connect());
      connection.get(request, (result, reusable) => {
        inFlight--;
        onEnd(result);
        if (!reusable) {
          void drop(connection);
          onFree();
          return;
        }
        const onCool = (): void => {
          idle.push(connection);
          onFree();
        };
        if (connection.requestCount === 1) setTimeout(onCool, FIRST_COOLDOWN_MS);
        else coolDown(onCool);
      });
      return connection.abort;
    },
    async close() {
      await Promise.all([...connections].map(drop));
    },
  };
}

/** Calls back after the event loop has polled for input once more; calls of the same turn share one wait. */
function createCooldown(): (onCool: () => void) => void {
  let cooling: (() => void)[] = [];
  return (onCool) => {
    if (cooling.push(onCool) > 1) return;
    // The first immediate runs before the next poll, the second right after it.
    setImmediate(() => {
      const together = cooling;
      cooling = [];
      setImmediate(() => {
        for (const each of together) each();
      });
    });
  };
}
