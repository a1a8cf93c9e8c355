import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { createDevicesServer, type Device, DEVICES_SDL } from '../../demo/devices.ts';
import { createGatewayServer } from '../../demo/gateway.ts';
import type { SimulatorOptions } from '../../src/simulator/simulator.ts';
import { listen } from '../listen.ts';
import { post, type Service, startBoth } from '../service.ts';

const OTA_SDL = readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8');

/** Starts a whole supergraph for a fleet of these devices. */
async function startSupergraph(ids: readonly string[], options: SimulatorOptions = {}, environment = {}) {
  const devices: Device[] = ids.map((id) => ({ id, name: `Device ${id}`, model: 'M-1' }));
  const ota = await startBoth(options, environment);
  const gateway = createGatewayServer([
    { name: 'devices', sdl: DEVICES_SDL, url: await listen(createDevicesServer(devices)) },
    { name: 'onenet-ota-subgraph', sdl: OTA_SDL, url: ota.url },
  ]);
  return { ...ota, url: await listen(gateway) } satisfies Service;
}

describe('through a gateway', () => {
  it('each device has the data of both subgraphs, at one call per device', async () => {
    const ids = Array.from({ length: 100 }, (_, i) => `d${i}`);
    const supergraph = await startSupergraph(ids);
    const { body } = await post(
      supergraph.url,
      '{ devices { id name otaTask(type: FOTA) { token size downloadUrl } } }',
    );
    expect(body.errors).toBeUndefined();
    expect(body.data.devices.map(({ name }: Device) => name)).toEqual(ids.map((id) => `Device ${id}`));
    for (const { otaTask } of body.data.devices)
      expect(otaTask.downloadUrl).toMatch(new RegExp(`/${otaTask.token}$`));
    expect(supergraph.onenet.calls).toHaveLength(100);
  });

  it('an error reaches the client with its code and its device, next to the data of the others', async () => {
    const supergraph = await startSupergraph(['good', 'bad', 'good2'], {
      fault: ({ deviceId }) => (deviceId === 'bad' ? { kind: 'body', body: '{"errno":7}' } : undefined),
    });
    const { body } = await post(supergraph.url, '{ devices { id otaTask(type: SOTA) { size } } }');
    expect(body.data.devices.map(({ otaTask }: { otaTask: unknown }) => otaTask)).toEqual([
      { size: expect.any(Number) },
      null,
      { size: expect.any(Number) },
    ]);
    expect(body.errors).toHaveLength(1);
    expect(body.errors[0].extensions).toMatchObject({
      code: 'ONENET_INTERNAL_ERROR',
      errno: 7,
      retryable: true,
      deviceId: 'bad',
      otaType: 'SOTA',
    });
  });

  it('a list shows "no task" as data', async () => {
    const supergraph = await startSupergraph(['a', 'b'], {
      fault: ({ deviceId }) => (deviceId === 'b' ? { kind: 'body', body: '{"errno":4}' } : undefined),
    });
    const query = `{ devices { id otaTaskResult(type: FOTA) { __typename ... on OtaTask { size } ... on OtaTaskAbsent { reason errno } } } }`;
    const { body } = await post(supergraph.url, query);
    expect(body).toEqual({
      data: {
        devices: [
          { id: 'a', otaTaskResult: { __typename: 'OtaTask', size: expect.any(Number) } },
          { id: 'b', otaTaskResult: { __typename: 'OtaTaskAbsent', reason: 'NO_TASK', errno: 4 } },
        ],
      },
    });
  });

  it('an operation that asks for too much gets an error and the data of the other subgraph', async () => {
    const supergraph = await startSupergraph(['a', 'b', 'c'], {}, { MAX_DEVICE_TASKS: '2' });
    const { body } = await post(supergraph.url, '{ devices { id name otaTask(type: FOTA) { size } } }');
    expect(
      body.data.devices.map(({ id, otaTask }: { id: string; otaTask: unknown }) => [id, otaTask]),
    ).toEqual([
      ['a', null],
      ['b', null],
      ['c', null],
    ]);
    const codes = body.errors.map(({ extensions }: { extensions: { code: string } }) => extensions.code);
    expect(new Set(codes)).toEqual(new Set(['OPERATION_TOO_LARGE']));
    expect(supergraph.onenet.calls).toHaveLength(0);
  });

  it('subgraphs that do not compose are refused with a reason', () => {
    expect(() =>
      createGatewayServer([{ name: 'broken', sdl: 'type Device { id: ID! }', url: 'http://x' }]),
    ).toThrow(/do not compose/);
  });
});
