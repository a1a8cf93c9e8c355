import { setImmediate } from 'node:timers/promises';

import { Agent, request } from 'undici';
import { describe, expect, it, onTestFinished } from 'vitest';

import { scrape, valueOf } from '../metrics-text.ts';
import { askEntities, devices, entitiesQuery, type Service, startBoth } from '../service.ts';

const SELECTION = 'otaTask(type: FOTA) { size }';

async function statusOf(service: Service, path: string): Promise<number> {
  const { statusCode, body } = await request(new URL(path, service.url));
  await body.dump();
  return statusCode;
}

async function expectRefusal(service: Service): Promise<void> {
  const { statusCode, headers, body } = await request(service.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: entitiesQuery(SELECTION), variables: { representations: devices('d1') } }),
  });
  expect(statusCode).toBe(503);
  expect(Number(headers['retry-after'])).toBeGreaterThan(0);
  expect(await body.json()).toEqual({
    errors: [{ message: expect.any(String), extensions: { code: 'SERVICE_UNAVAILABLE' } }],
  });
}

describe('a service that cannot keep up', () => {
  it('refuses operations, says so to the probe, and recovers', async () => {
    const service = await startBoth();
    // The service is in this process: what blocks this loop blocks its loop.
    for (let i = 0; i < 4; i++) {
      const until = performance.now() + 1100;
      while (performance.now() < until);
      await setImmediate();
    }
    await expectRefusal(service);
    expect([await statusOf(service, '/readyz'), await statusOf(service, '/livez')]).toEqual([503, 200]);
    await expect.poll(() => statusOf(service, '/readyz'), { timeout: 10_000 }).toBe(200);
    expect((await askEntities(service, SELECTION, devices('d1'))).status).toBe(200);
  }, 30_000);

  it('refuses more requests than it can hold, and answers those that it has', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const service = await startBoth(
      { latencyMs: 3000 },
      { ONENET_CONNECTIONS: '1024', ONENET_TIMEOUT_MS: '9000' },
    );
    const agent = new Agent({ connections: 2100 });
    onTestFinished(() => agent.destroy());
    const ask = async (): Promise<number> => {
      const { statusCode, body } = await request(service.url, {
        dispatcher: agent,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          query: entitiesQuery(SELECTION),
          variables: { representations: devices('d1') },
        }),
      });
      if (statusCode === 503) release();
      await body.dump();
      return statusCode;
    };
    const answers = Promise.all(Array.from({ length: 2050 }, ask));
    await held;
    await expectRefusal(service);
    const statuses = await answers;
    // A noisy machine may refuse a few more because its loop lags.
    expect(statuses.filter((status) => status === 503).length).toBeGreaterThanOrEqual(50);
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(1000);
    expect(new Set(statuses)).toEqual(new Set([200, 503]));
    const shed = { outcome: 'shed' };
    expect(valueOf(await scrape(service), 'onenet_ota_request_duration_seconds_count', shed)).toBe(
      statuses.filter((status) => status === 503).length + 1,
    );
  }, 60_000);
});
