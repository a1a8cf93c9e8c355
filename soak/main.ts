import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { Agent, request } from 'undici';

import { createUniformFleet } from '../src/simulator/fleet.ts';
import { createSimulator, type Fault } from '../src/simulator/simulator.ts';
import { createRandom, nextOperation, type Operation, verify } from './operations.ts';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' } } });
const RUN_MS = Number(values.minutes) * 60_000;
const WORKERS = 12;
const SAMPLE_MS = 5000;
const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Ten seconds of every minute nothing works, so that the circuit opens and recovers again and again. */
const OUTAGE = { everyMs: 60_000, fromMs: 30_000, toMs: 40_000 };
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
const isOutage = (): boolean => {
  const inMinute = (performance.now() - startedMs) % OUTAGE.everyMs;
  return inMinute >= OUTAGE.fromMs && inMinute < OUTAGE.toMs;
};

const onenet = await createSimulator({
  fleet,
  latencyMs: () => 2 + random() * 8,
  fault: () => {
    if (isOutage()) return { kind: 'status', status: 503 };
    let share = random();
    return FAULTS.find(([of]) => (share -= of) < 0)?.[1];
  },
});

execFileSync('npm', ['run', '--silent', 'build'], { cwd: ROOT, stdio: 'inherit' });
const child = spawn(process.execPath, ['dist/main.js'], {
  cwd: ROOT,
  env: {
    PORT: '0',
    ONENET_URL: onenet.url,
    ONENET_AUTHORIZATION: 'token',
    ONENET_TIMEOUT_MS: '1000',
    LOG_LEVEL: 'warn',
  },
  stdio: ['ignore', 'pipe', 'inherit'],
});
let logLines = 0;
const url = await new Promise<string>((resolve) => {
  createInterface(child.stdout).on('line', (line) => {
    logLines++;
    const address = /http:\/\/\S+\/graphql/.exec(line)?.[0];
    if (address !== undefined) resolve(address);
  });
});

const outcomes = new Map<string, number>();
const failures: string[] = [];
const latencies: number[] = [];
const count = (what: string, by = 1): void => void outcomes.set(what, (outcomes.get(what) ?? 0) + by);

const agent = new Agent({ connections: WORKERS });

async function perform(operation: Operation): Promise<void> {
  const began = performance.now();
  const { statusCode, body } = await request(url, {
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
  const { hostname, port } = new URL(url);
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

function sample({ pid }: ChildProcess): Sample {
  const status = readFileSync(`/proc/${pid ?? 0}/status`, 'utf8');
  const rssKb = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]);
  return { rssMb: rssKb / 1024, handles: readdirSync(`/proc/${pid ?? 0}/fd`).length };
}

const samples: Sample[] = [];
const sampler = setInterval(() => {
  samples.push(sample(child));
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

await Promise.all(Array.from({ length: WORKERS }, work));
clearInterval(sampler);
await agent.close();
console.log(summary());

const { statusCode } = await request(new URL('/readyz', url));
child.kill('SIGTERM');
const [exitCode] = (await once(child, 'close')) as [number | null];
await onenet.close();

const memory = isFlat(({ rssMb }) => rssMb, 20);
const handles = isFlat(({ handles: open }) => open, 10);
const verdicts: readonly [what: string, holds: boolean][] = [
  [`memory is flat: ${memory.text} MB`, memory.flat],
  [`handles are flat: ${handles.text}`, handles.flat],
  [
    `every request was answered with its own devices' data or errors: ${failures.length} failures`,
    failures.length === 0,
  ],
  [`the service is still ready: ${statusCode}`, statusCode === 200],
  [`it drains and exits with 0: ${String(exitCode)}`, exitCode === 0],
];
for (const [what, holds] of verdicts) console.log(`${holds ? 'yes' : 'NO '}  ${what}`);
for (const failure of failures.slice(0, 10)) console.log(`     ${failure}`);
process.exit(verdicts.every(([, holds]) => holds) ? 0 : 1);
