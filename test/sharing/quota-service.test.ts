import { describe, it } from 'vitest';

import { type Answer, askEntities, devices } from '../service.ts';
import { until } from '../until.ts';
import { gauge, startReplica } from './start-replicas.ts';
import { mostWithin } from './turns.ts';

const TARGET = 'otaTask(type: FOTA) { target }';

const ids = (count: number, prefix = 'd'): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`);

function codesOf({ body }: Answer): Set<string> {
  return new Set(
    (body.errors ?? []).map(({ extensions }: { extensions: { code: string } }) => extensions.code),
  );
}

describe.concurrent('the quota of a service', { timeout: 30_000 }, () => {
  it('is kept in every second and used, retries included', async ({ expect, onTestFinished }) => {
    const broken = new Set<string | null>();
    const { service, times } = await startReplica(
      { ONENET_CALLS_PER_SECOND: '50' },
      {
        // Every fifth device is there at the second attempt.
        fault: ({ deviceId }) => {
          if (broken.has(deviceId) || !/[05]$/.test(deviceId ?? '')) return undefined;
          broken.add(deviceId);
          return { kind: 'reset' };
        },
      },
      onTestFinished,
    );
    const beganMs = performance.now();
    const answers = await Promise.all(
      ids(3).map((prefix) => askEntities(service, TARGET, devices(...ids(40, prefix)))),
    );
    const seconds = (performance.now() - beganMs) / 1000;
    for (const answer of answers) expect(codesOf(answer)).not.toContain('ONENET_RATE_LIMITED');
    expect(times.length).toBeGreaterThan(120);
    expect(mostWithin(980, times)).toBeLessThanOrEqual(1.2 * 50);
    expect(times.length / seconds).toBeGreaterThan(0.9 * 50);
    expect(times.length / seconds).toBeLessThan(1.05 * 50 + 2);
  });

  it('gives what gets no turn until its deadline a code to try again, and shows what waits', async ({
    expect,
    onTestFinished,
  }) => {
    const { service, times } = await startReplica(
      { ONENET_CALLS_PER_SECOND: '20', REQUEST_TIMEOUT_MS: '1000' },
      {},
      onTestFinished,
    );
    const asking = askEntities(service, TARGET, devices(...ids(100)));
    await until(async () => ((await gauge(service, 'onenet_ota_quota_waiting')) ?? 0) > 50);
    const { status, body } = await asking;
    expect(status).toBe(200);
    const [{ extensions }] = body.errors;
    expect(extensions).toEqual({
      code: 'ONENET_RATE_LIMITED',
      retryable: true,
      deviceId: expect.any(String),
      otaType: 'FOTA',
    });
    expect(codesOf({ body } as Answer)).toEqual(new Set(['ONENET_RATE_LIMITED']));
    expect(body.errors.length).toBe(100 - times.length);
    expect(times.length).toBeGreaterThanOrEqual(18);
    expect(await gauge(service, 'onenet_ota_quota_waiting')).toBe(0);
    // What had no turn in time keeps nobody waiting now.
    const beganMs = performance.now();
    expect((await askEntities(service, TARGET, devices('new'))).body.errors).toBeUndefined();
    expect(performance.now() - beganMs).toBeLessThan(500);
  });

  it('is shared fairly: one device does not wait for the hundreds of another request', async ({
    expect,
    onTestFinished,
  }) => {
    const { service, onenet } = await startReplica(
      { ONENET_CALLS_PER_SECOND: '50', REQUEST_TIMEOUT_MS: '3000' },
      {},
      onTestFinished,
    );
    const many = askEntities(service, TARGET, devices(...ids(500)));
    await until(() => onenet.calls.length > 5);
    const beganMs = performance.now();
    expect((await askEntities(service, TARGET, devices('one'))).body.errors).toBeUndefined();
    expect(performance.now() - beganMs).toBeLessThan(500);
    expect(codesOf(await many)).toEqual(new Set(['ONENET_RATE_LIMITED']));
  });

  it('makes nobody wait while the circuit is open', async ({ expect, onTestFinished }) => {
    const { service } = await startReplica(
      { ONENET_CALLS_PER_SECOND: '100' },
      { fault: () => ({ kind: 'status', status: 500 }) },
      onTestFinished,
    );
    await askEntities(service, TARGET, devices(...ids(50)));
    const beganMs = performance.now();
    const answer = await askEntities(service, TARGET, devices(...ids(1000)));
    expect(performance.now() - beganMs).toBeLessThan(1000);
    expect(codesOf(answer)).toEqual(new Set(['ONENET_UNAVAILABLE']));
    expect(answer.body.errors).toHaveLength(1000);
  });
});
