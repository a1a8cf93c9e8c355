import { readFileSync } from 'node:fs';

import { buildSubgraphSchema } from '@apollo/subgraph';
import { type GraphQLFieldResolver, type GraphQLSchema, parse } from 'graphql';

import type { GraphQLContext } from './context.ts';
import { resolveEntities } from './entities.ts';
import { resolvers } from './resolvers.ts';

const SCHEMA_FILE = new URL('../../schema.graphql', import.meta.url);

/** The executable subgraph schema of the file `schema.graphql`. */
export function createSchema(): GraphQLSchema {
  const schema = buildSubgraphSchema({ typeDefs: parse(readFileSync(SCHEMA_FILE, 'utf8')), resolvers });
  const entities = schema.getQueryType()?.getFields()['_entities'];
  if (entities === undefined) throw new Error('the subgraph schema has no _entities field');
  entities.resolve = resolveEntities as GraphQLFieldResolver<unknown, GraphQLContext>;
  return schema;
}
