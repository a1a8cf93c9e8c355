import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { examineAlone } from './alone.ts';
import { type Allocations, countAllocations } from './allocations.ts';
import { judgeByBaseline, writeBaseline } from './baseline.ts';
import { compare, type Effort, type Plan, type Row } from './comparison.ts';
import { examineFleet } from './fleet.ts';
import { judge, judgeFleet } from './goals.ts';
import { before, FLOOR, OURS, PEERS, ROOT } from './peers.ts';
import { prepare } from './prepare.ts';
import { startUpstream, type Upstream } from './processes.ts';
import { measureEntries } from './redis-entries.ts';
import { checkToMarkdown, fleetToMarkdown, tlsToMarkdown, toMarkdown } from './report.ts';
import { compareOverTls } from './tls.ts';

const { values } = parseArgs({
  options: {
    /** Four minutes: three sizes, upstream without latency or TLS, ours not examined alone. */
    quick: { type: 'boolean', default: false },
    /** With `quick`: ours and the floor only; fails if ours has become worse than `baseline.json`. */
    check: { type: 'boolean', default: false },
    /** With `quick`: measures the same, and writes `baseline.json`. */
    'write-baseline': { type: 'boolean', default: false },
    /** Names of servers; the floor always takes part. */
    only: { type: 'string' },
    sizes: { type: 'string' },
    /** The folder of another version of ours, already built, that takes part as `before`. */
    before: { type: 'string' },
    /** Only what TLS to OneNET costs. */
    tls: { type: 'boolean', default: false },
    /** Only replicas that clients poll, some with what they share. */
    fleet: { type: 'boolean', default: false },
    /** Only what entries in Redis cost it. */
    redis: { type: 'boolean', default: false },
    /** How long each kind of replica is polled. */
    seconds: { type: 'string', default: '30' },
  },
});
const { quick } = values;
const guards = values.check || values['write-baseline'];
if (guards && !quick) throw new Error('--check and --write-baseline need --quick');
const names = guards ? [OURS] : values.only?.split(',');
const peers = [
  ...PEERS.filter(({ name }) => name === FLOOR || (names?.includes(name) ?? true)),
  ...(values.before === undefined ? [] : [before(values.before)]),
];
const SOME_SIZES = [1, 100, 1000];
const ALL_SIZES = [1, 10, 100, 1000, 10_000];
const sizes = values.sizes?.split(',').map(Number);
const QUICK: Effort[] = [{ latencyMs: 0, rounds: guards ? 15 : 3, roundCpuMs: 300, warmUpCpuMs: 2000 }];
const FULL: Effort[] = [
  { latencyMs: 0, rounds: 7, roundCpuMs: 500, warmUpCpuMs: 2000 },
  { latencyMs: 20, rounds: 3, roundCpuMs: 200, warmUpCpuMs: 100 },
];
const REPORT = join(ROOT, 'bench/report');

if (values.redis) console.table(await measureEntries());
else await measureServers();

async function measureServers(): Promise<void> {
  prepare();
  const upstream = await startUpstream();
  try {
    if (values.fleet) await runFleet(upstream);
    else if (values.tls) await runTls();
    else await runComparison(upstream);
  } finally {
    upstream.stop();
  }
}

async function runComparison(upstream: Upstream): Promise<void> {
  const plan: Plan = quick
    ? { sizes: sizes ?? SOME_SIZES, efforts: QUICK }
    : { sizes: sizes ?? ALL_SIZES, efforts: FULL };
  // First, for it alone needs openssl.
  const tls = quick ? [] : await compareOverTls(sizes ?? SOME_SIZES, console.log);
  const comparison = await compare(peers, upstream, plan, console.log);
  const allocations = await countAllocations(peers, upstream, plan.sizes, console.log);
  if (guards) {
    guard(comparison.rows, allocations);
    return;
  }
  const alone = quick ? undefined : await examineAlone(upstream, console.log);
  const goals = judge(comparison.rows, alone);
  const measured = { comparison, allocations, tls, alone, goals };
  report('report', measured, toMarkdown(peers, measured));
}

function guard(rows: readonly Row[], allocations: readonly Allocations[]): void {
  if (values['write-baseline']) writeBaseline(rows, allocations);
  const goals = judgeByBaseline(rows, allocations);
  report('check', { rows, allocations, goals }, checkToMarkdown(goals));
  if (goals.some(({ met }) => !met)) process.exitCode = 1;
}

async function runTls(): Promise<void> {
  const rows = await compareOverTls(sizes ?? SOME_SIZES, console.log);
  report('tls', { rows }, tlsToMarkdown(rows));
}

async function runFleet(upstream: Upstream): Promise<void> {
  const rows = await examineFleet(upstream, Number(values.seconds), console.log);
  const goals = judgeFleet(rows);
  report('fleet', { rows, goals }, fleetToMarkdown(rows, goals));
}

function report(name: string, measured: object, markdown: string): void {
  mkdirSync(REPORT, { recursive: true });
  writeFileSync(join(REPORT, `${name}.md`), markdown);
  writeFileSync(join(REPORT, `${name}.json`), JSON.stringify(measured, null, 2));
  console.log(`\n${markdown}`);
}
