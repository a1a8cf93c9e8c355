// What GraphQL itself costs: graphql-js behind node:http, each document parsed and validated once.
import { createServer } from 'node:http';

import { type DocumentNode, execute, parse, validate } from 'graphql';

import { listen, readBody } from './listen.ts';
import { createFetchOtaTask } from './onenet.ts';
import { createContext, createSchema } from './schema.ts';

interface Body {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

const schema = createSchema();
const fetchOtaTask = createFetchOtaTask('dispatch');
const documents = new Map<string, DocumentNode>();

listen(
  createServer((request, response) => {
    void answer(request).then((json) => {
      response.setHeader('content-type', 'application/json; charset=utf-8');
      response.end(json);
    });
  }),
);

async function answer(request: AsyncIterable<Buffer>): Promise<string> {
  const { query, variables } = JSON.parse(await readBody(request)) as Body;
  const result = await execute({
    schema,
    document: documentOf(query),
    variableValues: variables,
    contextValue: createContext(fetchOtaTask),
  });
  return JSON.stringify(result);
}

function documentOf(query: string): DocumentNode {
  let document = documents.get(query);
  if (document === undefined) {
    document = parse(query);
    const [error] = validate(schema, document);
    if (error !== undefined) throw error;
    documents.set(query, document);
  }
  return document;
}
