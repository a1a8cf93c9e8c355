import { request } from 'undici';
import { describe, expect, it } from 'vitest';

import { askEntities, devices, type Service, startBoth } from '../service.ts';

async function metricsOf({ url }: Service): Promise<string> {
  const { statusCode, headers, body } = await request(new URL('/metrics', url));
  expect([statusCode, headers['content-type']]).toEqual([200, expect.stringContaining('text/plain')]);
  return body.text();
}

describe('the metrics', () => {
  it.each([
    ['a task', '{"errno":0}', 'unreadable', undefined],
    ['a refusal that the document names', '{"errno":2}', 'errno', '2'],
    ['a refusal that it does not name', '{"errno":5116}', 'errno', 'other'],
    ['no task', '{"errno":4}', 'absent', '4'],
  ])('count a call by how it ended: %s', async (_, body, result, errno) => {
    const service = await startBoth({ fault: () => ({ kind: 'body', body }) });
    await askEntities(service, 'otaTask(type: FOTA) { size }', devices('d1'));
    const metrics = await metricsOf(service);
    expect(metrics).toContain(`onenet_ota_upstream_attempt_duration_seconds_count{result="${result}"} 1`);
    if (errno !== undefined)
      expect(metrics).toContain(`onenet_ota_upstream_errnos_total{errno="${errno}"} 1`);
    expect(metrics).toContain('onenet_ota_request_duration_seconds_count{status="200"} 1');
  });

  it('show credentials that OneNET does not accept', async () => {
    const service = await startBoth({ credentials: { token: 'another' } });
    await askEntities(service, 'otaTask(type: FOTA) { size }', devices('d1'));
    expect(await metricsOf(service)).toContain(
      'onenet_ota_upstream_attempt_duration_seconds_count{result="unauthorized"} 1',
    );
  });

  it('count retries, and each attempt', async () => {
    const service = await startBoth({ fault: () => ({ kind: 'reset' }) });
    await askEntities(service, 'otaTask(type: FOTA) { size }', devices('d1'));
    const metrics = await metricsOf(service);
    expect(metrics).toContain('onenet_ota_upstream_retries_total 1');
    expect(metrics).toContain('onenet_ota_upstream_attempt_duration_seconds_count{result="connection"} 2');
  });

  it('show an open circuit', async () => {
    const service = await startBoth({ fault: () => ({ kind: 'status', status: 500 }) });
    expect(await metricsOf(service)).toContain('onenet_ota_upstream_circuit_open 0');
    const ids = Array.from({ length: 30 }, (_, i) => `d${i}`);
    await askEntities(service, 'otaTask(type: FOTA) { size }', devices(...ids));
    expect(await metricsOf(service)).toContain('onenet_ota_upstream_circuit_open 1');
  });

  it('name no device, and ask nothing of OneNET', async () => {
    const service = await startBoth();
    await askEntities(service, 'otaTask(type: FOTA) { size }', devices('canary-device'));
    service.onenet.resetCalls();
    expect(await metricsOf(service)).not.toContain('canary-device');
    expect(service.onenet.calls).toHaveLength(0);
  });

  it('need no secret', async () => {
    const service = await startBoth({}, { ROUTER_SECRET: 'sixteen-characters' });
    await metricsOf(service);
  });
});
