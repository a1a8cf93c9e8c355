import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { compare, type Effort } from './comparison.ts';
import { examineAlone } from './alone.ts';
import { judge } from './goals.ts';
import { FLOOR, PEERS, ROOT } from './peers.ts';
import { prepare } from './prepare.ts';
import { startUpstream } from './processes.ts';
import { toMarkdown } from './report.ts';

const { values } = parseArgs({
  options: {
    /** Two minutes: three sizes, upstream without latency, ours not examined alone. */
    quick: { type: 'boolean', default: false },
    /** Names of servers; the floor always takes part. */
    only: { type: 'string' },
    sizes: { type: 'string' },
  },
});
const { quick } = values;
const names = values.only?.split(',');
const peers = PEERS.filter(({ name }) => name === FLOOR || (names?.includes(name) ?? true));
const sizes = values.sizes?.split(',').map(Number) ?? (quick ? [1, 100, 1000] : [1, 10, 100, 1000, 10_000]);
const QUICK: Effort[] = [{ latencyMs: 0, rounds: 3, roundCpuMs: 300, warmUpCpuMs: 2000 }];
const FULL: Effort[] = [
  { latencyMs: 0, rounds: 7, roundCpuMs: 500, warmUpCpuMs: 2000 },
  { latencyMs: 20, rounds: 3, roundCpuMs: 200, warmUpCpuMs: 100 },
];
const REPORT = join(ROOT, 'bench/report');

prepare();
const upstream = await startUpstream();
try {
  const latencies = quick ? QUICK : FULL;
  const comparison = await compare(peers, upstream, { sizes, latencies }, console.log);
  const alone = quick ? undefined : await examineAlone(upstream, console.log);
  const goals = judge(comparison.rows, alone);
  const markdown = toMarkdown(peers, comparison, goals);
  mkdirSync(REPORT, { recursive: true });
  writeFileSync(join(REPORT, 'report.md'), markdown);
  writeFileSync(join(REPORT, 'report.json'), JSON.stringify({ comparison, alone, goals }, null, 2));
  console.log(`\n${markdown}`);
} finally {
  upstream.stop();
}
