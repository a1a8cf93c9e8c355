import { ApolloServer } from '@apollo/server';
import fastifyApollo, { fastifyApolloDrainPlugin } from '@as-integrations/fastify';
import fastify from 'fastify';

import { announce } from './listen.ts';
import { clientKind, createFetchOtaTask } from './onenet.ts';
import { type Context, createContext, createSchema } from './schema.ts';

const fetchOtaTask = createFetchOtaTask(clientKind());
const app = fastify();
const server = new ApolloServer<Context>({
  schema: createSchema(),
  plugins: [fastifyApolloDrainPlugin(app)],
});

await server.start();
await app.register(fastifyApollo(server), { context: async () => createContext(fetchOtaTask) });
announce(`${await app.listen({ host: '127.0.0.1', port: 0 })}/graphql`);
