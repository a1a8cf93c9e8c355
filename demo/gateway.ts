import { createServer } from 'node:http';

import { getStitchedSchemaFromSupergraphSdl } from '@graphql-tools/federation';
import { renderGraphiQL } from '@graphql-yoga/render-graphiql';
import { composeServices, compositionHasErrors } from '@theguild/federation-composition';
import { parse } from 'graphql';
import { createYoga } from 'graphql-yoga';

export interface Subgraph {
  readonly name: string;
  readonly sdl: string;
  readonly url: string;
  /** Others that are as good as it: all of them are asked in turns. */
  readonly replicas?: readonly string[];
}

/**
 * Creates a gateway over the composed subgraphs, not listening yet: Hive Gateway's engine in GraphQL Yoga. In a browser
 * it shows GraphiQL, served locally.
 *
 * @throws Error that names what does not compose.
 */
export function createGatewayServer(subgraphs: readonly Subgraph[], defaultQuery = '{ __typename }') {
  const composed = composeServices(
    subgraphs.map(({ name, sdl, url }) => ({ name, typeDefs: parse(sdl), url })),
  );
  if (compositionHasErrors(composed)) {
    throw new Error(
      `the subgraphs do not compose: ${composed.errors.map(({ message }) => message).join('; ')}`,
    );
  }
  const { supergraphSdl } = composed;
  const yoga = createYoga({
    schema: getStitchedSchemaFromSupergraphSdl({
      supergraphSdl,
      httpExecutorOpts({ endpoint }) {
        const { url = '', replicas = [] } = subgraphs.find(({ url }) => url === endpoint) ?? {};
        return { endpoint: inTurns([url, ...replicas]) };
      },
    }),
    // What a subgraph says of an error is meant for clients.
    maskedErrors: false,
    logging: false,
    landingPage: false,
    renderGraphiQL,
    graphiql: { title: 'Supergraph', defaultQuery },
  });
  return createServer((request, response) => void yoga(request, response));
}

function inTurns(urls: readonly string[]): () => string {
  let turn = 0;
  return () => urls[turn++ % urls.length] as string;
}
