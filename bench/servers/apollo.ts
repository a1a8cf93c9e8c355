import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';

import { announce } from './listen.ts';
import { clientKind, createFetchOtaTask } from './onenet.ts';
import { type Context, createContext, createSchema } from './schema.ts';

const fetchOtaTask = createFetchOtaTask(clientKind());
const server = new ApolloServer<Context>({ schema: createSchema() });

const { url } = await startStandaloneServer(server, {
  listen: { host: '127.0.0.1', port: 0 },
  context: async () => createContext(fetchOtaTask),
});
announce(url);
