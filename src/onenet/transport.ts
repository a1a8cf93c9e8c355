import {
  type Connection,
  type ConnectionOptions,
  createConnection,
  type HttpRequest,
  type HttpResponse,
} from './connection.ts';

/** How long a new connection cools down after its first response: an upstream that sends too much mostly always does. */
const FIRST_COOLDOWN_MS = 10;

export interface Transport {
  /** Requests under way. */
  readonly inFlight: number;
  /** Milliseconds after which a request ends, if this process notices in time. */
  readonly timeoutMs: number;
  /**
   * Sends one GET and collects the response.
   *
   * @param request.fresh Whether the connection must be new: if one that was kept turned out to be lost, others may be too.
   * @param onEnd Called once: with the response; with an `OneNetError` where there is no whole response in time, or what came is
   * malformed, too large or compressed; or with the error that it was aborted with.
   * @param onFree Called once, then or a moment later, when another request may take this one's place.
   * @returns Aborts the request with an error. It must not be called once the request has ended: by then the connection may
   * carry another.
   */
  get(
    request: HttpRequest & { readonly fresh: boolean },
    onEnd: (result: HttpResponse | Error) => void,
    onFree: () => void,
  ): (error: Error) => void;
  /** Drops every connection, including those in use. */
  close(): Promise<void>;
}

/**
 * A pool of connections to OneNET. Each request has a connection to itself, so no response can reach another call, and
 * there are as many connections as there ever were requests at once. A connection is used again only after a flawless 200,
 * and after a cooldown: anything that arrives in the meantime was not asked for and ends the connection.
 */
export function createTransport(options: ConnectionOptions): Transport {
  const connections = new Set<Connection>();
  const idle: Connection[] = [];
  const coolDown = createCooldown();
  let inFlight = 0;

  function connect(): Connection {
    const connection = createConnection(options);
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

/** Calls back once the event loop has polled for what arrived in the meantime; those of one turn share the wait. */
function createCooldown(): (onCool: () => void) => void {
  let cooling: (() => void)[] = [];
  return (onCool) => {
    if (cooling.push(onCool) > 1) return;
    // The first immediate still runs before the next poll, the second right after it.
    setImmediate(() => {
      const together = cooling;
      cooling = [];
      setImmediate(() => {
        for (const each of together) each();
      });
    });
  };
}
