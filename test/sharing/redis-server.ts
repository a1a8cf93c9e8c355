import { execFileSync } from 'node:child_process';

import { createClient, RESP_TYPES } from '@redis/client';
import { onTestFinished } from 'vitest';

import { type Redis, startRedis as startServer } from '../../demo/redis.ts';
import type { Until } from '../service.ts';

function isOnPath(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** The servers that are installed on this machine. */
export const REDIS_SERVERS = ['redis-server', 'valkey-server'].filter(isOnPath);
if (REDIS_SERVERS.length === 0) {
  console.log('Neither redis-server nor valkey-server on the PATH: the tests with Redis are skipped.');
}

export interface RedisServer extends Omit<Redis, 'stop'> {
  /**
   * Sends a command from outside the service, with the server's password if there is one; strings in the reply are
   * buffers.
   */
  command(...args: readonly (string | Buffer)[]): Promise<unknown>;
  kill(): Promise<void>;
  /** Starts the server again, empty, on the same port. */
  start(): Promise<void>;
}

/** A server of its own for as long as the test that calls this, unless told otherwise. */
export async function startRedis(
  program: string,
  args: readonly string[] = [],
  until: Until = onTestFinished,
): Promise<RedisServer> {
  let server = (await startServer({ program, args })) as Redis;
  until(() => server.stop());
  const { port, url } = server;
  let password = '';
  return {
    port,
    url,
    async command(...command) {
      const client = createClient({
        url,
        password,
        RESP: 2,
        commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
      });
      client.on('error', () => undefined);
      await client.connect();
      try {
        const reply = await client.sendCommand([...command]);
        if (command[2] === 'requirepass') password = String(command[3]);
        return reply;
      } finally {
        client.destroy();
      }
    },
    signal: (signal) => server.signal(signal),
    kill: () => server.stop(),
    async start() {
      server = (await startServer({ program, args, port })) as Redis;
    },
  };
}
