import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import pretty from 'pino-pretty';

import { type App, createApp } from '../src/app.ts';
import { readConfig } from '../src/config/config.ts';
import { createLogger } from '../src/observability/logger.ts';
import { createDemoFleet } from '../src/simulator/fleet.ts';
import { createSimulator } from '../src/simulator/simulator.ts';
import { createDevicesServer, DEVICES_SDL } from './devices.ts';
import { createGatewayServer } from './gateway.ts';
import { startRedis } from './redis.ts';
import { readSavings } from './savings.ts';

const HOST = '127.0.0.1';
const OTA_SDL = readFileSync(new URL('../schema.graphql', import.meta.url), 'utf8');
const CREDENTIALS = {
  productId: 'demo',
  accessKey: Buffer.from('the demo has no secrets').toString('base64'),
};

const OTA_TASK_QUERY = '{ devices { name otaTask(type: FOTA) { target size downloadUrl } } }';
const OTA_TASK_RESULT_QUERY = `{
  devices {
    name
    otaTaskResult(type: FOTA) {
      ... on OtaTask { target size downloadUrl }
      ... on OtaTaskAbsent { reason }
    }
  }
}`;

const NO_REDIS =
  'There is no redis-server on the PATH: each replica keeps its own answers, and the whole quota, for itself.';

/** Short enough that devices are seen to move on. */
const SHARING = { CACHE_TTL_MS: '10000', CACHE_ABSENT_TTL_MS: '10000', ONENET_CALLS_PER_SECOND: '300' };

export interface Demo {
  /** The addresses of all services, and what to try. */
  readonly announcement: string;
  /** What the replicas have answered so far, and what it cost. */
  savings(): Promise<string>;
  close(): Promise<void>;
}

/**
 * Starts a OneNET, the subgraph in front of it, a devices subgraph and a gateway over both.
 *
 * @param replicas Of the subgraph. Several share their answers and a quota, in a Redis where there is one.
 */
export async function startDemo(replicas = 1): Promise<Demo> {
  const fleet = createDemoFleet({ seed: 'demo' });
  const onenet = await onPort(4003, (port) =>
    createSimulator({ host: HOST, port, fleet, credentials: CREDENTIALS }),
  );
  const redis = replicas > 1 ? await startRedis() : undefined;
  const otaUrls: string[] = [];
  const apps: App[] = [];
  async function startReplica(port: number): Promise<void> {
    const config = readConfig({
      HOST,
      PORT: String(port),
      ONENET_URL: onenet.url,
      ONENET_PRODUCT_ID: CREDENTIALS.productId,
      ONENET_ACCESS_KEY: CREDENTIALS.accessKey,
      SANDBOX: 'true',
      LOG_LEVEL: 'warn',
      ...(replicas > 1 && SHARING),
      ...(redis && { REDIS_URL: redis.url }),
    });
    const app = await createApp(config, createLogger(config, pretty({ ignore: 'pid,hostname', sync: true })));
    apps.push(app);
    otaUrls.push(await app.listen());
  }
  await onPort(4001, startReplica);
  while (otaUrls.length < replicas) await startReplica(0);
  const [otaUrl = '', ...otherUrls] = otaUrls;

  const devicesServer = createDevicesServer(fleet.devices);
  const devicesUrl = await onPort(4002, (port) => listen(devicesServer, port));
  const gatewayServer = createGatewayServer(
    [
      { name: 'devices', sdl: DEVICES_SDL, url: devicesUrl },
      { name: 'onenet-ota-subgraph', sdl: OTA_SDL, url: otaUrl, replicas: otherUrls },
    ],
    OTA_TASK_RESULT_QUERY,
  );
  const gatewayUrl = await onPort(4000, (port) => listen(gatewayServer, port));

  const idWidth = Math.max(...fleet.devices.map(({ id }) => id.length));
  const announcement = `
The supergraph     ${gatewayUrl}   in a browser: GraphiQL
The OTA subgraph   ${otaUrl}   in a browser: Apollo Sandbox (its page comes from Apollo's servers)
  its GraphiQL     ${new URL('/graphiql', otaUrl).href}   which needs no network
${otherUrls.map((url) => `  a replica        ${url}\n`).join('')}The devices owner  ${devicesUrl}
The simulated OneNET is at ${onenet.url}
${replicas > 1 ? `${redis ? `Redis is at ${redis.url}` : NO_REDIS}\n` : ''}
Devices to try:
${fleet.devices.map(({ id, shows }) => `  ${id.padEnd(idWidth)}  ${shows}`).join('\n')}

The firmware task of every device; having none is an error:
  ${OTA_TASK_QUERY}

The same list with "no task" as data:
  ${OTA_TASK_RESULT_QUERY.replaceAll('\n', '\n  ')}

From a shell:
  curl -s ${gatewayUrl} -H 'content-type: application/json' -d '${JSON.stringify({ query: OTA_TASK_QUERY })}'

Ctrl-C stops all of it.`;

  return {
    announcement,
    savings: () => readSavings(otaUrls),
    async close() {
      for (const server of [gatewayServer, devicesServer]) {
        server.close();
        server.closeAllConnections();
      }
      await Promise.all(apps.map((app) => app.close()));
      await redis?.stop();
      await onenet.close();
    },
  };
}

async function listen(server: Server, port: number): Promise<string> {
  server.listen(port, HOST);
  await once(server, 'listening');
  return `http://${HOST}:${(server.address() as AddressInfo).port}/graphql`;
}

/** Starts at the port itself where it is free, else at a free one. */
async function onPort<T>(port: number, start: (port: number) => Promise<T>): Promise<T> {
  try {
    return await start(port);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    console.log(`Port ${port} is taken: using a free one.`);
    return start(0);
  }
}
