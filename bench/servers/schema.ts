import { readFileSync } from 'node:fs';

import { buildSubgraphSchema } from '@apollo/subgraph';
import DataLoader from 'dataloader';
import { type GraphQLSchema, parse } from 'graphql';

import type { FetchOtaTask, OtaTask, OtaTaskType } from './onenet.ts';

/** The subgraph's own schema. */
export const SDL = readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8');

export interface Key {
  readonly id: string;
  readonly type: OtaTaskType;
}

export type OtaTaskLoader = DataLoader<Key, OtaTask, string>;

/** What the resolvers of one request share. */
export interface Context {
  readonly loader: OtaTaskLoader;
}

export function createContext(fetchOtaTask: FetchOtaTask): Context {
  const loader: OtaTaskLoader = new DataLoader((keys) => loadAll(keys, fetchOtaTask), {
    cacheKeyFn: ({ id, type }) => `${type}:${id}`,
    maxBatchSize: Infinity,
  });
  return { loader };
}

/** One failure fails its own key alone. */
export function loadAll(keys: readonly Key[], fetchOtaTask: FetchOtaTask): Promise<(OtaTask | Error)[]> {
  return Promise.all(
    keys.map(({ id, type }) => fetchOtaTask(id, type).catch((error: unknown) => error as Error)),
  );
}

export const resolvers = {
  Device: {
    otaTask: ({ id }: Key, { type }: Key, context: unknown) => (context as Context).loader.load({ id, type }),
  },
};

export function createSchema(): GraphQLSchema {
  return buildSubgraphSchema({ typeDefs: parse(SDL), resolvers });
}
