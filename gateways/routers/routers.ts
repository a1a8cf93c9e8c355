import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { vi } from 'vitest';

import type { Composer } from '../composers.ts';
import { composeExecutionConfig, SUPERGRAPH_COMPOSERS } from '../composers.ts';
import { type Gateway, writeSupergraph } from '../gateways.ts';
import { freePort, startProgram } from '../program.ts';
import { type Binary, findBinary } from './binaries.ts';

/** A program of another vendor, which may not be here. */
export type Router = Gateway & { readonly binary: Binary };

const COSMO: Binary = { name: 'Cosmo Router', variable: 'COSMO_ROUTER', file: 'cosmo-router' };
const APOLLO: Binary = { name: 'Apollo Router', variable: 'APOLLO_ROUTER', file: 'router' };
const HIVE: Binary = { name: 'Hive Router', variable: 'HIVE_ROUTER', file: 'hive_router' };

const composers = Object.entries(SUPERGRAPH_COMPOSERS);

function configuration(name: string): string {
  return fileURLToPath(new URL(`../../routers/${name}`, import.meta.url));
}

export function pathOf(binary: Binary): string {
  const path = findBinary(binary);
  if (path === undefined) throw new Error(`${binary.name} is not here`);
  return path;
}

/** Each with its file in `routers/` as it is, and with a supergraph of each composer that it can read. */
export const ROUTERS: readonly Router[] = [
  cosmoRouter(),
  ...composers.map(([name, compose]) => apolloRouter(name, compose)),
  ...composers.map(([name, compose]) => hiveRouter(name, compose)),
];

function cosmoRouter(): Router {
  return {
    name: 'Cosmo Router',
    binary: COSMO,
    pathHasIndex: true,
    refusalCode: 'UNAUTHENTICATED',
    async start({ subgraphs, secret, folder }) {
      const execution = join(folder, 'execution.json');
      writeFileSync(execution, composeExecutionConfig(subgraphs));
      const address = `127.0.0.1:${await freePort()}`;
      return startProgram(
        [pathOf(COSMO), '-config', configuration('cosmo-router.yaml')],
        {
          COSMO_TELEMETRY_DISABLED: 'true',
          EXECUTION_CONFIG_FILE_PATH: execution,
          LISTEN_ADDR: address,
          PROMETHEUS_ENABLED: 'false',
          ROUTER_SECRET: secret,
        },
        /Server initialized and ready to serve requests/,
        `http://${address}/graphql`,
      );
    },
  };
}

function apolloRouter(composer: string, compose: Composer): Router {
  return {
    name: `Apollo Router, ${composer}`,
    binary: APOLLO,
    pathHasIndex: true,
    refusalCode: 'UNAUTHENTICATED',
    async start(surroundings) {
      return startProgram(
        [
          ...([pathOf(APOLLO), '--config', configuration('apollo-router.yaml')] as const),
          ...['--supergraph', writeSupergraph(compose, surroundings)],
          ...['--listen', `127.0.0.1:${await freePort()}`],
        ],
        {
          APOLLO_TELEMETRY_DISABLED: 'true',
          HEALTH_CHECK_LISTEN: `127.0.0.1:${await freePort()}`,
          ROUTER_SECRET: surroundings.secret,
        },
        /GraphQL endpoint exposed at (http:\S+)/,
        '/',
      );
    },
  };
}

function hiveRouter(composer: string, compose: Composer): Router {
  return {
    name: `Hive Router, ${composer}`,
    binary: HIVE,
    pathHasIndex: true,
    refusalCode: 'UNAUTHENTICATED',
    async start(surroundings) {
      const port = await freePort();
      const program = await startProgram(
        [pathOf(HIVE)],
        {
          HOST: '127.0.0.1',
          PORT: port,
          ROUTER_CONFIG_FILE_PATH: configuration('hive-router.yaml'),
          SUPERGRAPH_FILE_PATH: writeSupergraph(compose, surroundings),
          ROUTER_SECRET: surroundings.secret,
        },
        /hive-router starting/,
        `http://127.0.0.1:${port}/graphql`,
      );
      // It does not say when it listens.
      await vi.waitUntil(() => isReady(new URL('/readiness', program.url)), { timeout: 20_000 });
      return program;
    },
  };
}

async function isReady(url: URL): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}
