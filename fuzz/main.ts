import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { ROOT } from '../bench/peers.ts';
import { fuzz } from './fuzz.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    /** The same seed begins with the same requests; what follows depends on what they cost. */
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    /** A folder for the worst requests. */
    save: { type: 'string' },
  },
});

execFileSync('npm', ['run', '--silent', 'build'], { cwd: ROOT, stdio: 'inherit' });
const endsMs = performance.now() + Number(values.minutes) * 60_000;
const report = await fuzz({
  seed: Number(values.seed),
  enough: () => performance.now() > endsMs,
  log: console.log,
});
console.log(report.text);
if (values.save !== undefined) {
  mkdirSync(values.save, { recursive: true });
  for (const [goal, found] of Object.entries(report.worst)) {
    for (const [i, { request, description }] of found.entries()) {
      const file = join(values.save, `${goal}-${i + 1}`);
      writeFileSync(`${file}.body`, request.body);
      writeFileSync(`${file}.json`, JSON.stringify({ description, headers: request.headers }, null, 2));
    }
  }
}
process.exit(report.broken.length === 0 ? 0 : 1);
