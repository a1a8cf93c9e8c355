import { ApolloServer } from '@apollo/server';
import fastifyApollo, { fastifyApolloDrainPlugin } from '@as-integrations/fastify';

import { announce } from './listen.ts';
import { createApp, createGuardedFetch, LIMITS } from './production.ts';
import { type Context, createContext, createSchema } from './schema.ts';

const fetchOtaTask = createGuardedFetch();
const app = await createApp();
const server = new ApolloServer<Context>({
  schema: createSchema(),
  plugins: [fastifyApolloDrainPlugin(app)],
  validationRules: LIMITS,
});

await server.start();
await app.register(fastifyApollo(server), { context: async () => createContext(fetchOtaTask) });
announce(`${await app.listen({ host: '127.0.0.1', port: 0 })}/graphql`);
