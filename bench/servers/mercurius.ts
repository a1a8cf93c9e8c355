import { mercuriusFederationPlugin } from '@mercuriusjs/federation';
import fastify from 'fastify';

import { announce } from './listen.ts';
import { clientKind, createFetchOtaTask } from './onenet.ts';
import { createContext, resolvers, SDL } from './schema.ts';

const fetchOtaTask = createFetchOtaTask(clientKind());
const app = fastify();

await app.register(mercuriusFederationPlugin, {
  schema: SDL,
  resolvers,
  context: () => createContext(fetchOtaTask),
  jit: 1,
});
announce(`${await app.listen({ host: '127.0.0.1', port: 0 })}/graphql`);
