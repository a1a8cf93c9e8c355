import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** What every ratio is a ratio to. */
export const FLOOR = 'floor';
export const OURS = 'ours';

/** A server that takes part, as it is started. */
export interface Peer {
  readonly name: string;
  readonly description: string;
  /** Arguments of `node`, in the project's folder. */
  readonly command: readonly string[];
}

function peer(name: string, description: string, file: string, ...args: string[]): Peer {
  return { name, description, command: [`bench/dist/${file}.js`, ...args] };
}

export const MERCURIUS = 'mercurius';
export const REST = 'apollo-rest';

export const PEERS: readonly Peer[] = [
  peer(FLOOR, 'bare node:http and undici `dispatch`: no GraphQL, no checks', 'floor'),
  { name: OURS, description: '`node dist/main.js`, all protections on', command: ['dist/main.js'] },
  peer(MERCURIUS, 'Mercurius federation, `jit: 1`, undici `request`', 'mercurius', 'request'),
  peer('mercurius-dispatch', 'the same with undici `dispatch`', 'mercurius', 'dispatch'),
  peer('graphql-js', 'graphql-js behind node:http, documents kept, undici `dispatch`', 'graphql-js'),
  peer('yoga', 'GraphQL Yoga, undici `dispatch`', 'yoga', 'dispatch'),
  peer('apollo-dispatch', 'Apollo Server standalone, undici `dispatch`', 'apollo', 'dispatch'),
  peer('apollo', 'Apollo Server standalone, undici `request`', 'apollo', 'request'),
  peer('apollo-fastify', 'Apollo Server on Fastify, undici `request`', 'apollo-fastify', 'request'),
  peer(REST, 'Apollo Server standalone, `@apollo/datasource-rest`', 'apollo-datasource-rest'),
];
