import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';

export interface Redis {
  readonly url: string;
  readonly port: number;
  /** Freezes or thaws it. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  stop(): Promise<void>;
}

export interface RedisOptions {
  /** Default: a free one. */
  readonly port?: number | undefined;
  readonly program?: string;
  readonly args?: readonly string[];
}

/**
 * Starts a Redis of its own, which leaves nothing on disk.
 *
 * @returns Nothing where the program is not installed.
 */
export async function startRedis(options: RedisOptions = {}): Promise<Redis | undefined> {
  const { port = await freePort(), program = 'redis-server', args = [] } = options;
  const directory = mkdtempSync(join(tmpdir(), 'redis-'));
  const own = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', directory];
  // Detached, for a Ctrl-C is meant for the demo, which ends Redis last.
  const child = spawn(program, [...own, ...args], { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  function kill(): void {
    child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  }
  process.once('exit', kill);
  try {
    await once(child, 'spawn');
  } catch {
    process.off('exit', kill);
    kill();
    return undefined;
  }
  const exited = once(child, 'exit');
  for await (const line of createInterface(child.stdout)) if (line.includes('Ready to accept')) break;
  child.stdout.resume();
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    signal: (signal) => void child.kill(signal),
    async stop() {
      process.off('exit', kill);
      kill();
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
