import { parseArgs } from 'node:util';

import { compare } from './comparison.ts';
import { FLOOR, PEERS } from './peers.ts';
import { prepare } from './prepare.ts';
import { startUpstream } from './processes.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    sizes: { type: 'string' },
  },
});
const { quick } = values;
const names = values.only?.split(',');
const peers = PEERS.filter(({ name }) => name === FLOOR || (names?.includes(name) ?? true));
const sizes = values.sizes?.split(',').map(Number) ?? (quick ? [1, 100, 1000] : [1, 10, 100, 1000, 10_000]);

prepare();
const upstream = await startUpstream();
const { rows } = await compare(
  peers,
  upstream,
  {
    sizes,
    latencies: quick
      ? [{ latencyMs: 0, rounds: 3, roundCpuMs: 300, warmUpCpuMs: 2000 }]
      : [
          { latencyMs: 0, rounds: 7, roundCpuMs: 1000, warmUpCpuMs: 2000 },
          { latencyMs: 20, rounds: 3, roundCpuMs: 1000, warmUpCpuMs: 500 },
        ],
  },
  console.log,
);
console.log(JSON.stringify(rows, null, 1));
upstream.stop();
