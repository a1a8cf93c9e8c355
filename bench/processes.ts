import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { OUR_PROGRAM, type Peer, ROOT } from './peers.ts';
import type { Calls, Listening, Setting } from './upstream.ts';

export interface Upstream {
  readonly origin: string;
  /** Milliseconds before each answer from now on; resolves to the calls since the start. */
  set(latencyMs: number): Promise<number>;
  stop(): void;
}

export async function startUpstream(): Promise<Upstream> {
  const child = fork(fileURLToPath(new URL('upstream.ts', import.meta.url)));
  const [{ origin }] = (await once(child, 'message')) as [Listening];
  return {
    origin,
    async set(latencyMs) {
      const setting: Setting = { latencyMs };
      child.send(setting);
      const [{ calls }] = (await once(child, 'message')) as [Calls];
      return calls;
    },
    stop: () => child.disconnect(),
  };
}

export interface RunningServer {
  readonly name: string;
  /** Of the GraphQL endpoint. */
  readonly url: string;
  /** Microseconds of all threads in user and system mode since the start. */
  cpuUs(): number;
  /** Bytes. */
  rss(): number;
  /** Bytes, since the last `forgetPeak`. */
  peakRss(): number;
  forgetPeak(): void;
  stop(): Promise<void>;
}

export interface StartOptions {
  /** For ours alone, where its default is too low for what is measured. */
  readonly maxDeviceTasks?: number | undefined;
  /** For who uses it. */
  readonly redisUrl?: string | undefined;
}

export function startServer(
  { name, command, environment, usesRedis, folder = ROOT }: Peer,
  upstream: string,
  { maxDeviceTasks, redisUrl }: StartOptions = {},
): Promise<RunningServer> {
  const own = { ...(usesRedis && redisUrl !== undefined && { REDIS_URL: redisUrl }), ...environment };
  const all =
    command[0] === OUR_PROGRAM
      ? ourEnvironment(upstream, {
          ...(maxDeviceTasks !== undefined && { MAX_DEVICE_TASKS: String(maxDeviceTasks) }),
          ...own,
        })
      : { UPSTREAM: upstream, ...own };
  return spawnServer(name, command, all, (line) => console.error(`${name}: ${line}`), folder);
}

/**
 * Runs a server in a process of its own; resolves once it listens.
 *
 * @param command Arguments of `node`, in `folder`.
 * @param onLine Is given what else it writes on standard output.
 */
export async function spawnServer(
  name: string,
  command: readonly string[],
  environment: NodeJS.ProcessEnv,
  onLine: (line: string) => void,
  folder = ROOT,
): Promise<RunningServer> {
  const child = spawn(process.execPath, command, {
    cwd: folder,
    env: { NODE_ENV: 'production', ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await addressOf(child, name, onLine);
  const { pid } = child as { pid: number };
  return {
    name,
    url,
    cpuUs: () => cpuUs(pid),
    rss: () => memory(pid, 'VmRSS'),
    peakRss: () => memory(pid, 'VmHWM'),
    // See proc_pid_clear_refs(5).
    forgetPeak: () => writeFileSync(`/proc/${pid}/clear_refs`, '5'),
    async stop() {
      const closed = once(child, 'close');
      child.kill('SIGKILL');
      await closed;
    },
  };
}

/** With credentials from which it mints tokens; everything that is not given as it is by default. */
export function ourEnvironment(upstream: string, environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return {
    PORT: '0',
    ONENET_URL: upstream,
    ONENET_PRODUCT_ID: 'bench',
    ONENET_ACCESS_KEY: 'KuF3NT/jUBJ62LNBB/A8XZA9CqS3Cu79B/ABmfA1UCw=',
    ...environment,
  };
}

function addressOf(child: ChildProcess, name: string, onLine: (line: string) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => reject(new Error(`${name} ended with exit code ${String(code)}`)));
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      const address = /http:\/\/127\.0\.0\.1:\d+\/(?:graphql)?/.exec(line)?.[0];
      if (address === undefined) onLine(line);
      else resolve(address);
    });
  });
}

/**
 * From the scheduler's own clock in nanoseconds, which counts user and system time alike; `utime` and `stime` in
 * `/proc/PID/stat` are the same in ticks of 10 ms. A thread that ends takes its time with it, but servers under load end
 * none.
 */
function cpuUs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce((sum, thread) => {
    const onCpuNs = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ', 1)[0];
    return sum + Number(onCpuNs) / 1000;
  }, 0);
}

function memory(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024;
}
