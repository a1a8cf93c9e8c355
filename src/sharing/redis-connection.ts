import { createClient, RESP_TYPES } from '@redis/client';

import type { Script } from './redis-script.ts';

/** What a command may take. */
const COMMAND_MS = 50;
/** What connecting may take, the handshake included. */
const CONNECT_MS = 1000;
const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 4000;
/** Whoever was there for so long is worth a quick retry again. */
const STABLE_MS = 10_000;

/** Written to find out whether writes are accepted. */
const PROBE = 'onenet-ota:probe';

export interface RedisConnection {
  /** Since when it has answered in time and accepted writes, on the clock of `now`; undefined while it does not. */
  readonly availableSinceMs: number | undefined;
  /** Resolves to the reply, its strings as buffers; after at most 50 ms to undefined where there is none. Never rejects. */
  run(script: Script, keys: readonly string[], args: readonly (string | Buffer)[]): Promise<unknown>;
  /** Resolves once the first attempt to connect has ended, one way or the other. */
  readonly firstAttempt: Promise<void>;
  close(): void;
}

export interface RedisConnectionOptions {
  /** `redis:` or `rediss:`, with credentials where it wants some. */
  readonly url: string;
  /** All that will ever be run. */
  readonly scripts: readonly Script[];
  /** Told once when it goes away, with the reason in one word, and once when it is back. */
  readonly onChange: (isAvailable: boolean, reason?: string) => void;
  /** Milliseconds, from a clock that only moves forward. */
  readonly now: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
}

type Client = ReturnType<typeof createOurClient>;

/**
 * A connection that is used only while it is flawless. Whatever goes wrong, a late reply, an error, a lost socket, ends it,
 * for that one way also leads out of frozen servers, black holes, demoted primaries and forgotten scripts; a new one
 * must take a write in time before it is used.
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
      // A client that was lost while it connected may have connected all the same.
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
    // What every server and every proxy in front of one understands.
    RESP: 2,
    maintNotifications: 'disabled',
    disableOfflineQueue: true,
    socket: { connectTimeout: CONNECT_MS, reconnectStrategy: false },
    // Its own timeout holds only until a command is written.
    commandOptions: { timeout: 0, typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
  });
}

class LateError extends Error {
  override readonly name = 'LateError';
  readonly code = 'late';
}

/**
 * Rejects once the reply is late. The late one must not be this process: time counts from when the command is written,
 * which the client does in an immediate of its own, and in the end what has come meanwhile is read first.
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

/** In one word: what a server says beyond that could be anything. */
function reasonOf(error: Error): string {
  if ('code' in error && typeof error.code === 'string') return error.code;
  return /^[A-Z]+(?= )/.exec(error.message)?.[0] ?? error.constructor.name;
}
