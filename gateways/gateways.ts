import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

import type { Subgraph } from '../demo/gateway.ts';
import type { Composer } from './composers.ts';
import { SUPERGRAPH_COMPOSERS } from './composers.ts';
import { freePort, type Program, startProgram } from './program.ts';

export interface Surroundings {
  readonly subgraphs: readonly Subgraph[];
  /** What the gateway gives the service in `router-authorization`. */
  readonly secret: string;
  /** An empty folder for its files. */
  readonly folder: string;
  /** Environment variables beside those that it needs to run here. */
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Gateway {
  readonly name: string;
  /** Whether errors say which element of a list they belong to. */
  readonly pathHasIndex: boolean;
  /** What it tells the client when a subgraph refuses it, each code once, sorted. */
  readonly refusalCodes: readonly string[];
  /** Whether it answers introspection, else the code of its refusal. */
  readonly introspection: 'open' | 'INTROSPECTION_DISABLED';
  /** `Cache-Control` of its answers with and without errors when the service says `max-age=5, private` and `no-store`. */
  readonly cacheControl: { readonly data?: string; readonly errors?: string };
  start(surroundings: Surroundings): Promise<Program>;
}

const MODULES = fileURLToPath(new URL('node_modules', import.meta.url));
const HIVE_CONFIG = fileURLToPath(new URL('../routers/hive-gateway.config.ts', import.meta.url));

const composers = Object.entries(SUPERGRAPH_COMPOSERS);

/** Each with a supergraph of each composer that it can read. */
export const GATEWAYS: readonly Gateway[] = [
  ...composers.map(([name, compose]) => apolloGateway(name, compose)),
  ...composers.map(([name, compose]) => hiveGateway(name, compose)),
  ...composers.map(([name, compose]) => hiveGatewayWithRustPlanner(name, compose)),
];

function apolloGateway(composer: string, compose: Composer): Gateway {
  return {
    name: `@apollo/gateway, ${composer}`,
    pathHasIndex: true,
    refusalCodes: ['UNAUTHENTICATED'],
    introspection: 'open',
    cacheControl: { data: 'no-store', errors: 'no-store' },
    start: (surroundings) =>
      startProgram(
        [process.execPath, '--import', 'tsx', 'apollo-gateway.ts', writeSupergraph(compose, surroundings)],
        // It would ask the cloud where it runs.
        {
          APOLLO_TELEMETRY_DISABLED: 'true',
          ROUTER_SECRET: surroundings.secret,
          ...surroundings.environment,
        },
        /Listening on (http:\S+)/,
      ),
  };
}

export function hiveGateway(composer: string, compose: Composer): Gateway {
  return {
    name: `Hive Gateway, ${composer}`,
    pathHasIndex: false,
    refusalCodes: ['UNAUTHENTICATED'],
    introspection: 'open',
    cacheControl: {},
    start: (surroundings) => startHiveGateway(compose, surroundings),
  };
}

function hiveGatewayWithRustPlanner(composer: string, compose: Composer): Gateway {
  return {
    name: `Hive Gateway with the Rust query planner, ${composer}`,
    pathHasIndex: true,
    refusalCodes: ['UNAUTHENTICATED'],
    introspection: 'open',
    cacheControl: {},
    start: (surroundings) => startHiveGateway(compose, surroundings, '--hive-router-runtime'),
  };
}

async function startHiveGateway(
  compose: Composer,
  surroundings: Surroundings,
  ...options: readonly string[]
): Promise<Program> {
  const port = await freePort();
  return startProgram(
    [
      ...([process.execPath, join(MODULES, '.bin/hive-gateway'), 'supergraph', ...options] as const),
      ...['--config-path', HIVE_CONFIG, '--host', '127.0.0.1', '--port', port],
      writeSupergraph(compose, surroundings),
    ],
    // The configuration is not in this package.
    { NODE_PATH: MODULES, ROUTER_SECRET: surroundings.secret, ...surroundings.environment },
    /Listening on (http:\S+)/,
  );
}

export function writeSupergraph(compose: Composer, { subgraphs, folder }: Surroundings): string {
  const file = join(folder, 'supergraph.graphql');
  writeFileSync(file, compose(subgraphs).sdl);
  return file;
}
