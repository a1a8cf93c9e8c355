import { createClient, RESP_TYPES } from '@redis/client';

import type { Script } from './redis-script.ts';

/** The timeout of a command. */
const COMMAND_MS = 50;
/** The timeout of connecting, including the handshake. */
const CONNECT_MS = 1000;
const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 4000;
/** A connection that lasted this long is first retried quickly again. */
const STABLE_MS = 10_000;

/** A key written to test whether Redis accepts writes. */
const PROBE = 'onenet-ota:probe';

export interface RedisConnection {
  /** When the connection became usable, on the clock of `now`; undefined while it is not. */
  readonly availableSinceMs: number | undefined;
  /**
   * Runs a script and resolves to its reply, with strings as buffers, or to undefined on an error or after 50 ms. Never
   * rejects.
   */
  run(script: Script, keys: readonly string[], args: readonly (string | Buffer)[]): Promise<unknown>;
  /** Resolves once the first attempt to connect has ended, one way or the other. */
  readonly firstAttempt: Promise<void>;
  close(): void;
}

export interface RedisConnectionOptions {
  /** A `redis:` or `rediss:` URL, with credentials if the server needs them. */
  readonly url: string;
  /** Every script that `run` will be called with. */
  readonly scripts: readonly Script[];
  /** Called once when Redis becomes unavailable, with a one-word reason, and once when it is back. */
  readonly onChange: (isAvailable: boolean, reason?: string) => void;
  /** Milliseconds, from a monotonic clock. */
  readonly now: () => number;
  /** A number from 0 to 1. */
  readonly random: () => number;
}

type Client = ReturnType<typeof createOurClient>;

/**
 * A connection that is used only while it works flawlessly. A late reply, an error or a lost socket ends it, because
 * reconnecting is also the way out of frozen servers, dropped packets, demoted primaries and forgotten scripts. A new
 * connection must accept a write in time before it is used.
 */
export function createRedisConnection(options: RedisConnectionOptions): RedisConnection {
  const { url, scripts, onChange, now, random } = options;
  let client: Client | undefined;
  let availableSinceMs: number | undefined;
  let isToldAway = false;
  let isClosed = false;
  let retryMs = FIRST_RETRY_MS;

  async function connect(): Promise<void> {
    const fresh = (client = createOurClient(url));
    fresh.on('error', (error: Error) => lose(fresh, error));
    try {
      await within(CONNECT_MS, fresh.connect());
      await within(
        COMMAND_MS,
        Promise.all([
          fresh.sendCommand(['SET', PROBE, '', 'PX', '1']),
          ...scripts.map(({ source }) => fresh.sendCommand(['SCRIPT', 'LOAD', source])),
        ]),
      );
      if (client === fresh) gain();
    } catch (error) {
      lose(fresh, error as Error);
    } finally {
      // A client that was dropped while connecting may have connected nevertheless.
      if (client !== fresh) fresh.destroy();
    }
  }

  function gain(): void {
    availableSinceMs = now();
    if (isToldAway) onChange(true);
    isToldAway = false;
  }

  function lose(lost: Client, error: Error): void {
    if (client !== lost) return;
    client = undefined;
    lost.destroy();
    if (isClosed) return;
    if (!isToldAway) onChange(false, reasonOf(error));
    isToldAway = true;
    if (availableSinceMs !== undefined && now() - availableSinceMs > STABLE_MS) retryMs = FIRST_RETRY_MS;
    availableSinceMs = undefined;
    setTimeout(() => isClosed || void connect(), retryMs * (1 - random() / 2)).unref();
    retryMs = Math.min(2 * retryMs, MAX_RETRY_MS);
  }

  const firstAttempt = connect();

  return {
    firstAttempt,
    get availableSinceMs() {
      return availableSinceMs;
    },
    async run({ sha }, keys, args) {
      const asked = client;
      if (availableSinceMs === undefined || asked === undefined) return undefined;
      try {
        return await within(
          COMMAND_MS,
          asked.sendCommand(['EVALSHA', sha, String(keys.length), ...keys, ...args]),
        );
      } catch (error) {
        lose(asked, error as Error);
        return undefined;
      }
    },
    close() {
      isClosed = true;
      availableSinceMs = undefined;
      client?.destroy();
    },
  };
}

function createOurClient(url: string) {
  return createClient({
    url,
    // Every server, and every proxy in front of one, supports this version.
    RESP: 2,
    maintNotifications: 'disabled',
    disableOfflineQueue: true,
    socket: { connectTimeout: CONNECT_MS, reconnectStrategy: false },
    // The client's own timeout ends as soon as a command is written.
    commandOptions: { timeout: 0, typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
  });
}

class LateError extends Error {
  override readonly name = 'LateError';
  readonly code = 'late';
}

/**
 * Rejects if the reply is late, but not if only this process is: the time counts from when the command is written,
 * which the client does in an immediate, and before rejecting it lets pending input be read.
 */
function within<T>(ms: number, reply: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    const written = setImmediate(() => {
      timer = setTimeout(() => setImmediate(() => reject(new LateError())), ms);
    });
    const stop = (): void => {
      clearImmediate(written);
      clearTimeout(timer);
    };
    reply.finally(stop).then(resolve, reject);
  });
}

/** The reason in one word. The rest of a server's message could contain anything. */
function reasonOf(error: Error): string {
  if ('code' in error && typeof error.code === 'string') return error.code;
  return /^[A-Z]+(?= )/.exec(error.message)?.[0] ?? error.constructor.name;
}
