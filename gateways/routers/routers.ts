import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { until } from '../../test/until.ts';
import type { Composer } from '../composers.ts';
import { composeExecutionConfig, SUPERGRAPH_COMPOSERS } from '../composers.ts';
import { type Gateway, type Surroundings, writeSupergraph } from '../gateways.ts';
import { freePort, type Program, startProgram } from '../program.ts';
import { type Binary, findBinary } from './binaries.ts';

/** What only routers are told. */
export interface RouterSurroundings extends Surroundings {
  /** Changes the text of the router's file; by default the router is started with the file in `routers/` as it is. */
  readonly configure?: (file: string) => string;
}

export interface Router extends Gateway {
  readonly kind: 'cosmo' | 'apollo' | 'hive';
  readonly binary: Binary;
  start(surroundings: RouterSurroundings): Promise<Program>;
}

const COSMO: Binary = { variable: 'COSMO_ROUTER', file: 'cosmo-router' };
const APOLLO: Binary = { variable: 'APOLLO_ROUTER', file: 'router' };
const HIVE: Binary = { variable: 'HIVE_ROUTER', file: 'hive_router' };

const composers = Object.entries(SUPERGRAPH_COMPOSERS);

/** Each with a supergraph of each composer that it can read. */
const ALL: readonly Router[] = [
  cosmoRouter(),
  ...composers.map(([name, compose]) => apolloRouter(name, compose)),
  ...composers.map(([name, compose]) => hiveRouter(name, compose)),
];

/** Those whose program is here. */
export const ROUTERS = ALL.filter(({ binary }) => findBinary(binary) !== undefined);
/** Each program once. */
export const EACH_ROUTER = onceEach(ROUTERS);
/** Those that are left out, and why. */
export const MISSING = onceEach(ALL.filter((router) => !ROUTERS.includes(router))).map(
  ({ kind, binary: { file, variable } }) => ({
    kind,
    reason: `no ${file} on the PATH or in the cache directory, and ${variable} is not set`,
  }),
);

function onceEach(routers: readonly Router[]): Router[] {
  return [...new Map(routers.map((router) => [router.kind, router] as const).reverse()).values()].reverse();
}

function cosmoRouter(): Router {
  return {
    kind: 'cosmo',
    name: 'Cosmo Router',
    binary: COSMO,
    pathHasIndex: false,
    refusalCodes: ['UNAUTHENTICATED'],
    introspection: 'open',
    cacheControl: { data: 'max-age=5, private', errors: 'no-store, no-cache, must-revalidate' },
    async start(surroundings) {
      const execution = join(surroundings.folder, 'execution.json');
      writeFileSync(execution, composeExecutionConfig(surroundings.subgraphs));
      const address = `127.0.0.1:${await freePort()}`;
      return startProgram(
        [pathOf(COSMO), '-config', configuration('cosmo-router.yaml', surroundings)],
        {
          COSMO_TELEMETRY_DISABLED: 'true',
          EXECUTION_CONFIG_FILE_PATH: execution,
          LISTEN_ADDR: address,
          PROMETHEUS_ENABLED: 'false',
          ROUTER_SECRET: surroundings.secret,
          ...surroundings.environment,
        },
        /Server initialized and ready to serve requests/,
        `http://${address}/graphql`,
      );
    },
  };
}

function apolloRouter(composer: string, compose: Composer): Router {
  return {
    kind: 'apollo',
    name: `Apollo Router, ${composer}`,
    binary: APOLLO,
    pathHasIndex: true,
    refusalCodes: ['SUBREQUEST_HTTP_ERROR', 'UNAUTHENTICATED'],
    introspection: 'INTROSPECTION_DISABLED',
    cacheControl: {},
    start: async (surroundings) =>
      startProgram(
        [
          ...([pathOf(APOLLO), '--config', configuration('apollo-router.yaml', surroundings)] as const),
          ...['--supergraph', writeSupergraph(compose, surroundings)],
          ...['--listen', `127.0.0.1:${await freePort()}`],
        ],
        {
          APOLLO_TELEMETRY_DISABLED: 'true',
          HEALTH_CHECK_LISTEN: `127.0.0.1:${await freePort()}`,
          ROUTER_SECRET: surroundings.secret,
          ...surroundings.environment,
        },
        /GraphQL endpoint exposed at (http:\S+)/,
        '/',
      ),
  };
}

function hiveRouter(composer: string, compose: Composer): Router {
  return {
    kind: 'hive',
    name: `Hive Router, ${composer}`,
    binary: HIVE,
    pathHasIndex: true,
    refusalCodes: ['SUBREQUEST_HTTP_ERROR', 'UNAUTHENTICATED'],
    introspection: 'open',
    cacheControl: { data: 'private, max-age=5', errors: 'no-store, no-cache, must-revalidate' },
    async start(surroundings) {
      const port = await freePort();
      const program = await startProgram(
        [pathOf(HIVE)],
        {
          HOST: '127.0.0.1',
          PORT: port,
          ROUTER_CONFIG_FILE_PATH: configuration('hive-router.yaml', surroundings),
          SUPERGRAPH_FILE_PATH: writeSupergraph(compose, surroundings),
          ROUTER_SECRET: surroundings.secret,
          ...surroundings.environment,
        },
        /hive-router starting/,
        `http://127.0.0.1:${port}/graphql`,
      );
      // It does not say when it listens.
      await until(() => isReady(new URL('/readiness', program.url)));
      return program;
    },
  };
}

function pathOf(binary: Binary): string {
  const path = findBinary(binary);
  if (path === undefined) throw new Error(`there is no ${binary.file}`);
  return path;
}

function configuration(name: string, { configure, folder }: RouterSurroundings): string {
  const shipped = fileURLToPath(new URL(`../../routers/${name}`, import.meta.url));
  if (configure === undefined) return shipped;
  const changed = join(folder, name);
  writeFileSync(changed, configure(readFileSync(shipped, 'utf8')));
  return changed;
}

async function isReady(url: URL): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}
