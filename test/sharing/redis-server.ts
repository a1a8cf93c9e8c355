import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { createClient, RESP_TYPES } from '@redis/client';
import { onTestFinished } from 'vitest';

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

export interface RedisServer {
  readonly port: number;
  readonly url: string;
  /**
   * Sends a command from outside the service, with the server's password if there is one; strings in the reply are
   * buffers.
   */
  command(...args: readonly (string | Buffer)[]): Promise<unknown>;
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  kill(): Promise<void>;
  /** Starts the server again, empty, on the same port. */
  start(): Promise<void>;
}

/** A server of its own, without anything on disk, for as long as the test that calls this, unless told otherwise. */
export async function startRedis(
  program: string,
  args: readonly string[] = [],
  until: Until = onTestFinished,
): Promise<RedisServer> {
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}`;
  let password = '';
  const directory = mkdtempSync(join(tmpdir(), 'redis-'));
  let child: ChildProcess;

  async function start(): Promise<void> {
    const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', directory];
    const started = spawn(program, [...options, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    child = started;
    const lines = createInterface(started.stdout);
    for await (const line of lines) if (line.includes('Ready to accept connections')) break;
    started.stdout.resume();
  }

  async function kill(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  await start();
  until(kill);
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
    signal: (signal) => void child.kill(signal),
    kill,
    start,
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
