import { setImmediate } from 'node:timers/promises';

import { Agent, request } from 'undici';
import { describe, expect, it, onTestFinished } from 'vitest';

import { scrape, valueOf } from '../metrics-text.ts';
import { httpAnswer, startRawUpstream, taskAnswer } from '../onenet/raw-upstream.ts';
import { askEntities, devices, entitiesQuery, type Service, startBoth, startService } from '../service.ts';

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

describe('an overloaded service', () => {
  it('refuses operations, fails its readiness probe, and recovers', async () => {
    const service = await startBoth();
    // The service runs in this process, so blocking this event loop blocks its own.
    for (let i = 0; i < 4 && (await statusOf(service, '/readyz')) === 200; i++) {
      const until = performance.now() + 1100;
      while (performance.now() < until);
      await setImmediate();
    }
    await expectRefusal(service);
    expect([await statusOf(service, '/readyz'), await statusOf(service, '/livez')]).toEqual([503, 200]);
    await expect.poll(() => statusOf(service, '/readyz'), { timeout: 10_000 }).toBe(200);
    expect((await askEntities(service, SELECTION, devices('d1'))).status).toBe(200);
  }, 30_000);

  it('refuses requests beyond its capacity, and answers those it has accepted', async () => {
    let refusals = 0;
    let refuse!: () => void;
    let release!: () => void;
    const refused = new Promise<void>((resolve) => (refuse = resolve));
    const released = new Promise<void>((resolve) => (release = resolve));
    const onenet = await startRawUpstream(async (connection) => {
      for (;;) {
        await connection.request();
        await released;
        connection.socket.write(httpAnswer(taskAnswer('1.2')));
      }
    });
    const service = await startService(onenet.origin, {
      ONENET_CONNECTIONS: '1024',
      ONENET_TIMEOUT_MS: '9000',
    });
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
      if (statusCode === 503 && ++refusals === 50) refuse();
      await body.dump();
      return statusCode;
    };
    const asked: Promise<number>[] = [];
    while (asked.length < 2050) {
      asked.push(...Array.from({ length: 50 }, ask));
      // Sent all at once, they would be refused because the event loop lags.
      await statusOf(service, '/livez');
    }
    await refused;
    await expectRefusal(service);
    release();
    const statuses = await Promise.all(asked);
    // On a busy machine, a few more may be refused because the event loop lags.
    expect(statuses.filter((status) => status === 503).length).toBeGreaterThanOrEqual(50);
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(1000);
    expect(new Set(statuses)).toEqual(new Set([200, 503]));
    const shed = { outcome: 'shed' };
    expect(valueOf(await scrape(service), 'onenet_ota_request_duration_seconds_count', shed)).toBe(
      statuses.filter((status) => status === 503).length + 1,
    );
  }, 60_000);
});
