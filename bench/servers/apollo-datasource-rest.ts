import { RESTDataSource } from '@apollo/datasource-rest';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';

import { announce, cacheTtlSeconds } from './listen.ts';
import {
  HEADERS,
  type OtaTask,
  type OtaTaskType,
  taskingPath,
  type TaskingAnswer,
  toOtaTask,
  upstreamOrigin,
} from './onenet.ts';
import { type Context, createContext, createSchema } from './schema.ts';

/** OneNET says nothing of how long an answer may be kept. */
const ttl = cacheTtlSeconds();
const CACHE = ttl === undefined ? {} : { cacheOptions: { ttl } };

class OneNet extends RESTDataSource {
  override baseURL = upstreamOrigin();

  async fetchOtaTask(deviceId: string, type: OtaTaskType): Promise<OtaTask> {
    const path = taskingPath(deviceId, type);
    return toOtaTask(await this.get<TaskingAnswer>(path, { headers: HEADERS, ...CACHE }));
  }
}

const server = new ApolloServer<Context>({ schema: createSchema() });

const { url } = await startStandaloneServer(server, {
  listen: { host: '127.0.0.1', port: 0 },
  context: async () => {
    const onenet = new OneNet({ cache: server.cache });
    return createContext((deviceId, type) => onenet.fetchOtaTask(deviceId, type));
  },
});
announce(url);
