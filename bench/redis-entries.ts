import { createClient } from '@redis/client';

import { startRedis } from '../demo/redis.ts';
import { type OtaTaskOutcome, pairId } from '../src/ota-task.ts';
import { READ, WRITE } from '../src/sharing/redis-cache.ts';
import { createSeal } from '../src/sharing/seal.ts';
import { encode } from '../src/sharing/stored-outcome.ts';

/** What entries of one kind cost Redis, each of them. */
export interface EntryCost {
  readonly kind: string;
  /** All that Redis has more than before: key, value, life, and what it needs to find them. */
  readonly bytes: number;
  /** Of Redis' own CPU. */
  readonly writeUs: number;
  readonly readUs: number;
}

const ENTRIES = 200_000;
const BATCH = 500;
const LIFE_MS = 3_600_000;

const TASK = {
  target: '1.12.3',
  token: 'ota_5hc95SFeo5xJEnaNrste',
  size: 262_144,
  signal: 12,
  power: 60,
  retry: 3,
  interval: 60,
  md5: '0123456789abcdef0123456789abcdef',
  ipPort: '172.19.3.3:8002',
  type: 'FULL',
} as const;
const KINDS: readonly (readonly [kind: string, outcome: OtaTaskOutcome])[] = [
  ['task with its address', TASK],
  ['task without', { ...TASK, ipPort: null }],
  ['absence', { reason: 'NO_TASK', errno: 4 }],
];

/** Writes and reads as replicas do, into a Redis of its own. */
export async function measureEntries(): Promise<EntryCost[]> {
  const redis = await startRedis();
  if (redis === undefined) throw new Error('redis-server is not installed');
  const client = createClient({ url: redis.url, RESP: 2 });
  await client.connect();
  const run = (...command: (string | Buffer)[]): Promise<unknown> => client.sendCommand(command);
  const info = async (section: string, field: string): Promise<number> =>
    Number(new RegExp(`^${field}:([\\d.]+)`, 'm').exec(String(await run('INFO', section)))?.[1]);
  const cpuUs = async (): Promise<number> =>
    1e6 * ((await info('cpu', 'used_cpu_user')) + (await info('cpu', 'used_cpu_sys')));

  const seal = createSeal('bench');
  for (const { source } of [READ, WRITE]) await run('SCRIPT', 'LOAD', source);
  const costs: EntryCost[] = [];
  for (const [kind, outcome] of KINDS) {
    await run('FLUSHALL');
    const names = Array.from(
      { length: ENTRIES },
      (_, i) => `onenet-ota:task:${seal.nameOf(pairId({ deviceId: String(586_000_000 + i), type: 'FOTA' }))}`,
    );
    const batches = Array.from({ length: ENTRIES / BATCH }, (_, i) =>
      names.slice(i * BATCH, (i + 1) * BATCH),
    );
    const stored = { outcome, servesAddress: true, lifeMs: LIFE_MS };
    const [bytesBefore, cpuBefore] = [await info('memory', 'used_memory'), await cpuUs()];
    for (const batch of batches) {
      const values = batch.flatMap((name) => [encode(seal, name, stored), '0']);
      await run('EVALSHA', WRITE.sha, String(BATCH), ...batch, ...values);
    }
    const cpuWritten = await cpuUs();
    for (const batch of batches) await run('EVALSHA', READ.sha, String(BATCH), ...batch);
    costs.push({
      kind,
      bytes: ((await info('memory', 'used_memory')) - bytesBefore) / ENTRIES,
      writeUs: (cpuWritten - cpuBefore) / ENTRIES,
      readUs: ((await cpuUs()) - cpuWritten) / ENTRIES,
    });
  }
  client.destroy();
  await redis.stop();
  return costs;
}
