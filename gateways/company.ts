import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

import { createDevicesServer, type Device, DEVICES_SDL } from '../demo/devices.ts';
import type { Subgraph } from '../demo/gateway.ts';
import { createUniformFleet, type FleetTask } from '../src/simulator/fleet.ts';
import { createSimulator, type Fault, type Simulator } from '../src/simulator/simulator.ts';
import { CREDENTIALS } from '../test/service.ts';
import { startProgram } from './program.ts';

export const SECRET = 'the-secret-of-the-router';
export const MAX_DEVICE_TASKS = 20;

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const OTA_SDL = readFileSync(new URL('../schema.graphql', import.meta.url), 'utf8');

/** Never asked anything. */
export const SUBGRAPHS: readonly Subgraph[] = describeSubgraphs(
  'http://127.0.0.1:4002',
  'http://127.0.0.1:4001',
);

/** All that stands behind a gateway: OneNET, the service as a process of its own, and the owner of the devices. */
export interface Company {
  readonly onenet: Simulator;
  readonly subgraphs: readonly Subgraph[];
  /** What OneNET answers for the device unless it has a fault. */
  task(deviceId: string, type: 'FOTA' | 'SOTA'): FleetTask;
  /** From now on these are all devices there are, in this order, and OneNET has been asked nothing yet. */
  own(...deviceIds: readonly string[]): void;
  /** From now on OneNET answers so for these devices (`id`), or for one task of them (`id FOTA`). */
  fail(faults: Readonly<Record<string, Fault>>): void;
  close(): Promise<void>;
}

/** @param environment of the service, beside what it needs to run here. */
export async function startCompany(environment: Readonly<Record<string, string>> = {}): Promise<Company> {
  const fleet = createUniformFleet({ seed: 'gateways' });
  const devices: Device[] = [];
  const faults = new Map<string, Fault>();
  const onenet = await createSimulator({
    credentials: CREDENTIALS,
    fleet,
    fault: ({ deviceId, type }) =>
      faults.get(`${deviceId} ${type === '1' ? 'FOTA' : 'SOTA'}`) ?? faults.get(`${deviceId}`),
  });
  const service = await startProgram(
    [process.execPath, MAIN],
    {
      PORT: '0',
      ONENET_URL: onenet.url,
      ONENET_PRODUCT_ID: CREDENTIALS.productId,
      ONENET_ACCESS_KEY: CREDENTIALS.accessKey,
      ONENET_TIMEOUT_MS: '1500',
      MAX_DEVICE_TASKS: String(MAX_DEVICE_TASKS),
      ROUTER_SECRET: SECRET,
      ...environment,
    },
    /(http:\/\/\S+)\/graphql/,
  );
  const owner = createDevicesServer(devices).listen(0, '127.0.0.1');
  await once(owner, 'listening');
  const { port } = owner.address() as AddressInfo;

  return {
    onenet,
    subgraphs: describeSubgraphs(`http://127.0.0.1:${port}`, new URL(service.url).origin),
    task(deviceId, type) {
      const answer = fleet.answer(deviceId, type === 'FOTA' ? 1 : 2, Date.now());
      if (!('task' in answer)) throw new Error(`${deviceId} has no task`);
      return answer.task;
    },
    own(...deviceIds) {
      devices.splice(0, Infinity, ...deviceIds.map((id) => ({ id, name: `Device ${id}`, model: 'M-1' })));
      faults.clear();
      onenet.resetCalls();
    },
    fail(added) {
      for (const [deviceId, fault] of Object.entries(added)) faults.set(deviceId, fault);
    },
    async close() {
      owner.close();
      owner.closeAllConnections();
      await service.close();
      await onenet.close();
    },
  };
}

/** OneNET's "no". */
export function refusal(errno: number): Fault {
  return { kind: 'body', body: JSON.stringify({ errno, error: 'no' }) };
}

function describeSubgraphs(devicesOrigin: string, otaOrigin: string): Subgraph[] {
  return [
    { name: 'devices', sdl: DEVICES_SDL, url: `${devicesOrigin}/graphql` },
    { name: 'onenet-ota-subgraph', sdl: OTA_SDL, url: `${otaOrigin}/graphql` },
  ];
}
