import { readFileSync } from 'node:fs';
import process from 'node:process';

import { ApolloGateway, RemoteGraphQLDataSource } from '@apollo/gateway';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';

/** `@apollo/gateway` over the supergraph in a file, set up as its users should; a program of its own. */
const [, , supergraphFile = '', port = '0'] = process.argv;

const gateway = new ApolloGateway({
  supergraphSdl: readFileSync(supergraphFile, 'utf8'),
  buildService: ({ name, url = '' }) =>
    new RemoteGraphQLDataSource({
      url,
      apq: name === 'onenet-ota-subgraph' && process.env['PERSISTED_QUERIES'] === 'true',
      willSendRequest({ request }) {
        if (name !== 'onenet-ota-subgraph') return;
        request.http?.headers.set('router-authorization', process.env['ROUTER_SECRET'] ?? '');
      },
    }),
});

const server = new ApolloServer({
  gateway,
  includeStacktraceInErrorResponses: false,
  formatError(formatted) {
    // Of a subgraph that answers 4xx or 5xx the gateway would tell the client the address and the whole answer.
    return { ...formatted, extensions: { ...formatted.extensions, response: undefined } };
  },
});
const { url } = await startStandaloneServer(server, { listen: { host: '127.0.0.1', port: Number(port) } });
console.log(`Listening on ${url}`);
