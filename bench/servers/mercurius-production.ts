import { mercuriusFederationPlugin } from '@mercuriusjs/federation';

import { announce } from './listen.ts';
import { createApp, createGuardedFetch, LIMITS } from './production.ts';
import { createContext, resolvers, SDL } from './schema.ts';

const fetchOtaTask = createGuardedFetch();
const app = await createApp();

await app.register(mercuriusFederationPlugin, {
  schema: SDL,
  resolvers,
  context: () => createContext(fetchOtaTask),
  jit: 1,
  validationRules: LIMITS,
});
announce(`${await app.listen({ host: '127.0.0.1', port: 0 })}/graphql`);
