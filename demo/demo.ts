import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import pretty from 'pino-pretty';

import { createApp } from '../src/app.ts';
import { readConfig } from '../src/config/config.ts';
import { createLogger } from '../src/observability/logger.ts';
import { createDemoFleet } from '../src/simulator/fleet.ts';
import { createSimulator } from '../src/simulator/simulator.ts';
import { createDevicesServer, DEVICES_SDL } from './devices.ts';
import { createGatewayServer } from './gateway.ts';

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

export interface Demo {
  /** The addresses of all services, and what to try. */
  readonly announcement: string;
  close(): Promise<void>;
}

/** Starts a simulated OneNET, the subgraph in front of it, a devices subgraph, and a gateway over both. */
export async function startDemo(): Promise<Demo> {
  const fleet = createDemoFleet({ seed: 'demo' });
  const onenet = await createSimulator({
    host: HOST,
    port: await preferablyPort(4003),
    fleet,
    credentials: CREDENTIALS,
  });
  const config = readConfig({
    HOST,
    PORT: String(await preferablyPort(4001)),
    ONENET_URL: onenet.url,
    ONENET_PRODUCT_ID: CREDENTIALS.productId,
    ONENET_ACCESS_KEY: CREDENTIALS.accessKey,
    SANDBOX: 'true',
    LOG_LEVEL: 'warn',
  });
  const app = await createApp(config, createLogger(config, pretty({ ignore: 'pid,hostname', sync: true })));
  const otaUrl = await app.listen();

  const devicesServer = createDevicesServer(fleet.devices);
  const devicesUrl = await listen(devicesServer, await preferablyPort(4002));
  const gatewayServer = createGatewayServer(
    [
      { name: 'devices', sdl: DEVICES_SDL, url: devicesUrl },
      { name: 'onenet-ota-subgraph', sdl: OTA_SDL, url: otaUrl },
    ],
    OTA_TASK_RESULT_QUERY,
  );
  const gatewayUrl = await listen(gatewayServer, await preferablyPort(4000));

  const idWidth = Math.max(...fleet.devices.map(({ id }) => id.length));
  const announcement = `
The supergraph     ${gatewayUrl}   in a browser: GraphiQL
The OTA subgraph   ${otaUrl}   in a browser: Apollo Sandbox (its page comes from Apollo's servers)
  its GraphiQL     ${new URL('/graphiql', otaUrl).href}   which needs no network
The devices owner  ${devicesUrl}
The simulated OneNET is at ${onenet.url}

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
    async close() {
      for (const server of [gatewayServer, devicesServer]) {
        server.close();
        server.closeAllConnections();
      }
      await app.close();
      await onenet.close();
    },
  };
}

async function listen(server: Server, port: number): Promise<string> {
  await listening(server, port);
  return `http://${HOST}:${(server.address() as AddressInfo).port}/graphql`;
}

/** Returns the port if it is free, else 0, which picks a free one. */
async function preferablyPort(port: number): Promise<number> {
  const probe = createServer();
  try {
    await listening(probe, port);
    return port;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    console.log(`Port ${port} is taken: using a free one.`);
    return 0;
  } finally {
    await new Promise((resolve) => probe.close(resolve));
  }
}

function listening(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, HOST, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
