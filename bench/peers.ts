import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** What `npm start` starts. */
export const OUR_PROGRAM = 'dist/main.js';

/** What every ratio is a ratio to. */
export const FLOOR = 'floor';
export const OURS = 'ours';
export const BEFORE = 'before';
export const OURS_MEMORY = 'ours-memory';
export const OURS_REDIS = 'ours-redis';

/** A server that takes part, as it is started. */
export interface Peer {
  readonly name: string;
  readonly description: string;
  /** Arguments of `node`, in `folder`. */
  readonly command: readonly string[];
  /** The project's, unless it is another version of it that takes part. */
  readonly folder?: string;
  /** Beside what every server is told. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Whether it shares a Redis, where there is one. */
  readonly usesRedis?: boolean;
  /** Where it is measured at some sizes only. */
  readonly sizes?: readonly number[];
}

const KEPT = { CACHE_TTL_MS: '3600000' };

function ours(
  name: string,
  description: string,
  options: Omit<Peer, 'name' | 'description' | 'command'> = {},
): Peer {
  return { name, description, command: [OUR_PROGRAM], ...options };
}

function peer(name: string, description: string, file: string, ...args: string[]): Peer {
  return { name, description, command: [`bench/dist/${file}.js`, ...args] };
}

/** Another version of this project, already built, to be compared with this one in the same run. */
export function before(folder: string): Peer {
  return ours(BEFORE, 'another version of ours', { folder });
}

export const MERCURIUS = 'mercurius';
export const MERCURIUS_DISPATCH = 'mercurius-dispatch';
export const MERCURIUS_PRODUCTION = 'mercurius-production';
export const APOLLO_PRODUCTION = 'apollo-fastify-production';
export const REST = 'apollo-rest';

/** What the others lack, from npm: `servers/production.ts`. */
const PROTECTIONS =
  'deadlines, undici `retry`, opossum, @fastify/under-pressure, pino, prom-client, limits of GraphQL Armor';

export const PEERS: readonly Peer[] = [
  peer(FLOOR, 'bare node:http and undici `dispatch`: no GraphQL, no checks', 'floor'),
  ours(OURS, '`node dist/main.js`, all protections on'),
  ours(OURS_MEMORY, 'the same, answering from memory', { environment: KEPT, sizes: [10, 100, 1000] }),
  ours(OURS_REDIS, 'the same, answering from Redis, with hardly any memory of its own', {
    environment: { ...KEPT, CACHE_MAX_ENTRIES: '1' },
    usesRedis: true,
    sizes: [10, 100, 1000],
  }),
  peer(MERCURIUS, 'Mercurius federation, `jit: 1`, undici `request`', 'mercurius', 'request'),
  peer(MERCURIUS_DISPATCH, 'the same with undici `dispatch`', 'mercurius', 'dispatch'),
  peer(
    MERCURIUS_PRODUCTION,
    `Mercurius federation, \`jit: 1\`, undici \`request\`, ${PROTECTIONS}`,
    'mercurius-production',
  ),
  peer('graphql-js', 'graphql-js behind node:http, documents kept, undici `dispatch`', 'graphql-js'),
  peer('yoga', 'GraphQL Yoga, undici `dispatch`', 'yoga', 'dispatch'),
  peer('apollo-dispatch', 'Apollo Server standalone, undici `dispatch`', 'apollo', 'dispatch'),
  peer('apollo', 'Apollo Server standalone, undici `request`', 'apollo', 'request'),
  peer('apollo-fastify', 'Apollo Server on Fastify, undici `request`', 'apollo-fastify', 'request'),
  peer(
    APOLLO_PRODUCTION,
    `Apollo Server on Fastify, undici \`request\`, ${PROTECTIONS}`,
    'apollo-fastify-production',
  ),
  peer(REST, 'Apollo Server standalone, `@apollo/datasource-rest`', 'apollo-datasource-rest'),
];
