import { mercuriusFederationPlugin } from '@mercuriusjs/federation';
import fastify from 'fastify';
import mercuriusCache from 'mercurius-cache';

import { announce, cacheTtlSeconds } from './listen.ts';
import { clientKind, createFetchOtaTask } from './onenet.ts';
import { createContext, type Key, resolvers, SDL } from './schema.ts';

const fetchOtaTask = createFetchOtaTask(clientKind());
const app = fastify();

await app.register(mercuriusFederationPlugin, {
  schema: SDL,
  resolvers,
  context: () => createContext(fetchOtaTask),
  jit: 1,
});
const ttl = cacheTtlSeconds();
if (ttl !== undefined) {
  await app.register(mercuriusCache.default, {
    ttl,
    storage: { type: 'memory', options: { size: 100_000 } },
    policy: { Device: { otaTask: { key: keyOf } } },
  });
}
announce(`${await app.listen({ host: '127.0.0.1', port: 0 })}/graphql`);

function keyOf({ self, arg }: { readonly self: Key; readonly arg: Key }): string {
  return `${arg.type}:${self.id}`;
}
