import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { OUR_PROGRAM, type Peer, ROOT } from './peers.ts';
import type { Counts, Listening, Setting } from './upstream.ts';

export interface Upstream {
  readonly origin: string;
  /** What a server needs to trust it. */
  readonly environment: NodeJS.ProcessEnv;
  /** Holds from now on; resolves to what was counted since the start. */
  set(setting: Setting): Promise<Counts>;
  stop(): void;
}

export function startUpstream(): Promise<Upstream> {
  return forkUpstream([], {});
}

/** Over TLS, with a certificate of its own. */
export async function startTlsUpstream(): Promise<Upstream> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  try {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const options =
      '-x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=bench -addext subjectAltName=IP:127.0.0.1';
    execFileSync('openssl', ['req', ...options.split(' '), '-keyout', key, '-out', cert], { stdio: 'pipe' });
    const upstream = await forkUpstream([key, cert], { NODE_EXTRA_CA_CERTS: cert });
    return {
      ...upstream,
      stop() {
        upstream.stop();
        rmSync(folder, { recursive: true });
      },
    };
  } catch (error) {
    rmSync(folder, { recursive: true });
    throw error;
  }
}

async function forkUpstream(args: readonly string[], environment: NodeJS.ProcessEnv): Promise<Upstream> {
  const child = fork(fileURLToPath(new URL('upstream.ts', import.meta.url)), args);
  const [{ origin }] = (await once(child, 'message')) as [Listening];
  return {
    origin,
    environment,
    async set(setting) {
      child.send(setting);
      const [counts] = (await once(child, 'message')) as [Counts];
      return counts;
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
  /** Sends a message to the program and resolves to its answer. */
  ask(message: string): Promise<unknown>;
  stop(): Promise<void>;
}

export interface StartOptions {
  /** For ours alone, where its default is too low for what is measured. */
  readonly maxDeviceTasks?: number | undefined;
  /** For who uses it. */
  readonly redisUrl?: string | undefined;
  /** A module to be imported before the program. */
  readonly imports?: string;
}

export function startServer(
  { name, command, environment, usesRedis, folder = ROOT }: Peer,
  upstream: Upstream,
  { maxDeviceTasks, redisUrl, imports }: StartOptions = {},
): Promise<RunningServer> {
  const own = {
    ...upstream.environment,
    ...(usesRedis && redisUrl !== undefined && { REDIS_URL: redisUrl }),
    ...environment,
  };
  const all =
    command[0] === OUR_PROGRAM
      ? ourEnvironment(upstream.origin, {
          ...(maxDeviceTasks !== undefined && { MAX_DEVICE_TASKS: String(maxDeviceTasks) }),
          ...own,
        })
      : { UPSTREAM: upstream.origin, ...own };
  const full = imports === undefined ? command : ['--import', join(ROOT, imports), ...command];
  return spawnServer(name, full, all, (line) => console.error(`${name}: ${line}`), folder);
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
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
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
    async ask(message) {
      child.send(message);
      const [answer] = (await once(child, 'message')) as [unknown];
      return answer;
    },
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
