import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { Agent, request } from 'undici';

import { startRedis } from '../demo/redis.ts';
import { readSavings } from '../demo/savings.ts';
import { createUniformFleet } from '../src/simulator/fleet.ts';
import { createSimulator, type Fault } from '../src/simulator/simulator.ts';
import { createRandom, nextOperation, type Operation, verify } from './operations.ts';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, replicas: { type: 'string', default: '1' } },
});
const RUN_MS = Number(values.minutes) * 60_000;
const REPLICAS = Number(values.replicas);
const WORKERS = 12;
const SAMPLE_MS = 5000;
const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Ten seconds of every minute nothing works, so that the circuit opens and recovers again and again. */
const OUTAGE = { everyMs: 60_000, fromMs: 30_000, toMs: 40_000 };
/** Of every half minute, Redis is frozen for some seconds, and gone for some; it comes back empty. */
const REDIS_AWAY = { everyMs: 30_000, frozenMs: 12_000, goneMs: 17_000, backMs: 22_000 };
/** How long replicas may take to use a Redis again that is back. */
const REDIS_BACK_MS = 10_000;
const CALLS_PER_SECOND = 500;
/** Short lives and little room, so that everything ends all the time. */
const SHARING = {
  CACHE_TTL_MS: '3000',
  CACHE_ABSENT_TTL_MS: '1000',
  CACHE_MAX_ENTRIES: '5000',
  ONENET_CALLS_PER_SECOND: String(CALLS_PER_SECOND),
};
const FAULTS: readonly [share: number, fault: Fault][] = [
  [0.03, { kind: 'reset' }],
  [0.01, { kind: 'cut' }],
  [0.01, { kind: 'status', status: 503, body: '<html>down</html>' }],
  [0.01, { kind: 'body', body: '{"errno":7,"error":"internal"}' }],
  [0.01, { kind: 'body', body: 'garbage' }],
  [0.05, { kind: 'body', body: '{"errno":4,"error":"none"}' }],
  [0.002, { kind: 'stall' }],
  [0.005, { kind: 'status', status: 429, headers: { 'Retry-After': '1' } }],
];

const random = createRandom(20_260_101);
const fleet = createUniformFleet({ seed: 'soak' });
const startedMs = performance.now();
const callsBySecond: number[] = [];
const isOutage = (): boolean => {
  const inMinute = (performance.now() - startedMs) % OUTAGE.everyMs;
  return inMinute >= OUTAGE.fromMs && inMinute < OUTAGE.toMs;
};

const onenet = await createSimulator({
  fleet,
  latencyMs: () => 2 + random() * 8,
  fault: () => {
    const second = Math.floor((performance.now() - startedMs) / 1000);
    callsBySecond[second] = (callsBySecond[second] ?? 0) + 1;
    if (isOutage()) return { kind: 'status', status: 503 };
    let share = random();
    return FAULTS.find(([of]) => (share -= of) < 0)?.[1];
  },
});

execFileSync('npm', ['run', '--silent', 'build'], { cwd: ROOT, stdio: 'inherit' });
let redis = REPLICAS > 1 ? await startRedis() : undefined;
if (REPLICAS > 1 && redis === undefined)
  console.log('redis-server is not installed: the replicas go on without');
const redisPort = redis?.port;
let logLines = 0;
const replicas = await Promise.all(Array.from({ length: REPLICAS }, start));
const urls = replicas.map(({ url }) => url);

async function start(): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  const child = spawn(process.execPath, ['dist/main.js'], {
    cwd: ROOT,
    env: {
      PORT: '0',
      ONENET_URL: onenet.url,
      ONENET_AUTHORIZATION: 'token',
      ONENET_TIMEOUT_MS: '1000',
      LOG_LEVEL: 'warn',
      ...(REPLICAS > 1 && SHARING),
      ...(redis && { REDIS_URL: redis.url }),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return new Promise((resolve) => {
    createInterface(child.stdout).on('line', (line) => {
      logLines++;
      const url = /http:\/\/\S+\/graphql/.exec(line)?.[0];
      if (url !== undefined) resolve({ child, url });
    });
  });
}

function anyReplica(): string {
  return urls[Math.floor(random() * urls.length)] as string;
}

const outcomes = new Map<string, number>();
const failures: string[] = [];
const latencies: number[] = [];
const count = (what: string, by = 1): void => void outcomes.set(what, (outcomes.get(what) ?? 0) + by);

const agent = new Agent({ connections: WORKERS });

async function perform(operation: Operation): Promise<void> {
  const began = performance.now();
  const { statusCode, body } = await request(anyReplica(), {
    dispatcher: agent,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: operation.body,
  });
  const text = await body.text();
  latencies.push(performance.now() - began);
  count(`HTTP ${statusCode}`);
  const { problem, codes } = verify(operation, statusCode, text, fleet);
  for (const code of codes) count(code);
  if (problem !== undefined) failures.push(`${problem}: ${text.slice(0, 300)}`);
}

/** Sends an operation and leaves before it can have been answered. */
async function leave({ body }: Operation): Promise<void> {
  const { hostname, port } = new URL(anyReplica());
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  socket.write(
    `POST /graphql HTTP/1.1\r\nHost: ${hostname}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  await delay(random() * 20);
  socket.destroy();
  await once(socket, 'close');
  count('left');
}

async function work(): Promise<void> {
  while (performance.now() - startedMs < RUN_MS) {
    const operation = nextOperation(random);
    try {
      await (operation.kind === 'entities' && random() < 0.03 ? leave(operation) : perform(operation));
    } catch (error) {
      failures.push(`no answer: ${(error as Error).message}`);
    }
    // Paced by its size, so that the machine is busy but not saturated.
    await delay(10 + operation.weight * 0.5);
  }
}

interface Sample {
  readonly rssMb: number;
  readonly handles: number;
}

/** Of all replicas together. */
function sample(): Sample {
  let rssMb = 0;
  let handles = 0;
  for (const { child } of replicas) {
    const status = readFileSync(`/proc/${child.pid ?? 0}/status`, 'utf8');
    rssMb += Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
    handles += readdirSync(`/proc/${child.pid ?? 0}/fd`).length;
  }
  return { rssMb, handles };
}

/** Lets Redis come and go until the load ends, and leaves it there. */
async function disturbRedis(): Promise<void> {
  const { everyMs, frozenMs, goneMs, backMs } = REDIS_AWAY;
  while (performance.now() - startedMs + everyMs < RUN_MS) {
    await delay(frozenMs);
    redis?.signal('SIGSTOP');
    await delay(goneMs - frozenMs);
    await redis?.stop();
    await delay(backMs - goneMs);
    redis = await startRedis({ port: redisPort });
    await delay(everyMs - backMs);
  }
}

async function isRedisUsed(): Promise<boolean> {
  const texts = await Promise.all(
    urls.map(async (url) => (await request(new URL('/metrics', url))).body.text()),
  );
  return texts.every((text) => text.includes('\nonenet_ota_redis_available 1\n'));
}

/** The most calls in ten seconds. */
function worstTenSeconds(): number {
  const counts = Array.from(callsBySecond, (calls: number | undefined) => calls ?? 0);
  return Math.max(...counts.map((_, i) => counts.slice(i, i + 10).reduce((sum, calls) => sum + calls, 0)));
}

const samples: Sample[] = [];
const sampler = setInterval(() => {
  samples.push(sample());
  if (samples.length % 6 === 0) console.log(summary());
}, SAMPLE_MS);

function percentile(share: number): number {
  const sorted = [...latencies].sort((a, b) => a - b);
  return Math.round(sorted[Math.floor(sorted.length * share)] ?? 0);
}

function summary(): string {
  const last = samples.at(-1);
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  const counts = [...outcomes].map(([what, times]) => `${what} ${times}`).join(', ');
  return `${seconds} s: RSS ${Math.round(last?.rssMb ?? 0)} MB, ${last?.handles ?? 0} handles, p50 ${percentile(0.5)} ms, p99 ${percentile(0.99)} ms; ${counts}; log lines ${logLines}; failures ${failures.length}`;
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}

/** Whether the last quarter of the run is no higher than the second; the first is warming up. */
function isFlat(
  of: (sample: Sample) => number,
  slack: number,
): { readonly flat: boolean; readonly text: string } {
  const quarter = Math.floor(samples.length / 4);
  const early = median(samples.slice(quarter, 2 * quarter).map(of));
  const late = median(samples.slice(-quarter).map(of));
  return { flat: late <= early * 1.15 + slack, text: `${Math.round(early)} -> ${Math.round(late)}` };
}

await Promise.all([...Array.from({ length: WORKERS }, work), redis && disturbRedis()]);
clearInterval(sampler);
await agent.close();
console.log(summary());

const verdicts: [what: string, holds: boolean][] = [];
if (REPLICAS > 1) {
  console.log(await readSavings(urls));
  // While replicas do not agree on whether Redis is there, each that is cut off may exceed the quota by its share.
  const most = 10 * CALLS_PER_SECOND * (redis === undefined ? REPLICAS : 2 - 1 / REPLICAS) * 1.05;
  const worst = worstTenSeconds();
  verdicts.push([`the quota holds: at most ${worst} calls in 10 s of ${Math.round(most)}`, worst <= most]);
}
if (redis !== undefined) {
  const lastMs = performance.now() + REDIS_BACK_MS;
  while (!(await isRedisUsed()) && performance.now() < lastMs) await delay(100);
  verdicts.push(['all replicas use Redis', await isRedisUsed()]);
}

const statuses = await Promise.all(
  urls.map(async (url) => (await request(new URL('/readyz', url))).statusCode),
);
const exitCodes = await Promise.all(
  replicas.map(async ({ child }) => {
    child.kill('SIGTERM');
    const [exitCode] = (await once(child, 'close')) as [number | null];
    return exitCode;
  }),
);
await redis?.stop();
await onenet.close();

const memory = isFlat(({ rssMb }) => rssMb, 20);
const handles = isFlat(({ handles: open }) => open, 10);
verdicts.push(
  [`memory is flat: ${memory.text} MB`, memory.flat],
  [`handles are flat: ${handles.text}`, handles.flat],
  [
    `every request was answered with its own devices' data or errors: ${failures.length} failures`,
    failures.length === 0,
  ],
  [`the service is still ready: ${statuses.join()}`, statuses.every((status) => status === 200)],
  [`it drains and exits with 0: ${exitCodes.join()}`, exitCodes.every((exitCode) => exitCode === 0)],
);
for (const [what, holds] of verdicts) console.log(`${holds ? 'yes' : 'NO '}  ${what}`);
for (const failure of failures.slice(0, 10)) console.log(`     ${failure}`);
process.exit(verdicts.every(([, holds]) => holds) ? 0 : 1);
