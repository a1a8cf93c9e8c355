// What GraphQL itself costs: graphql-js behind node:http, each document parsed and validated once.
import { type DocumentNode, execute, parse, validate } from 'graphql';

import { serveJson } from './listen.ts';
import { createFetchOtaTask } from './onenet.ts';
import { createContext, createSchema } from './schema.ts';

interface Body {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

const schema = createSchema();
const fetchOtaTask = createFetchOtaTask('dispatch');
const documents = new Map<string, DocumentNode>();

serveJson(answer);

async function answer(body: string): Promise<string> {
  const { query, variables } = JSON.parse(body) as Body;
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
