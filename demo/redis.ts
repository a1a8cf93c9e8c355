import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import process from 'node:process';
import { createInterface } from 'node:readline';

export interface Redis {
  readonly url: string;
  readonly port: number;
  /** Freezes it, until it is stopped. */
  freeze(): void;
  stop(): Promise<void>;
}

/**
 * Starts a Redis of its own, without anything on disk.
 *
 * @param port Default: a free one.
 * @returns Nothing where `redis-server` is not installed.
 */
export async function startRedis(port?: number): Promise<Redis | undefined> {
  port ??= await freePort();
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', tmpdir()];
  // Detached, for a Ctrl-C is meant for the demo, which ends Redis last.
  const child = spawn('redis-server', options, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  process.once('exit', () => child.kill('SIGKILL'));
  try {
    await once(child, 'spawn');
  } catch {
    return undefined;
  }
  const exited = once(child, 'exit');
  for await (const line of createInterface(child.stdout)) if (line.includes('Ready to accept')) break;
  child.stdout.resume();
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    freeze: () => void child.kill('SIGSTOP'),
    async stop() {
      child.kill('SIGKILL');
      await exited;
    },
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
