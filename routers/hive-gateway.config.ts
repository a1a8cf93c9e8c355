import process from 'node:process';

import { defineConfig } from '@graphql-hive/gateway';

/** Hive Gateway 2. The environment gives ROUTER_SECRET, the same as the service's. Errors of subgraphs pass as they are. */
export const gatewayConfig = defineConfig({
  // Longer than the service's REQUEST_TIMEOUT_MS, so that the answers of the other devices arrive.
  upstreamTimeout: 12_000,

  propagateHeaders: {
    fromClientToSubgraphs: ({ subgraphName }) =>
      subgraphName === 'onenet-ota-subgraph'
        ? { 'router-authorization': process.env['ROUTER_SECRET'] }
        : undefined,
  },

  // Whole answers, once for each user and only where the user is known; an answer with errors is not stored.
  responseCaching: {
    session: (request) => request.headers.get('authorization'),
    enabled: (request) => request.headers.has('authorization'),
    // Only operations that ask for one of these fields are stored at all.
    ttl: 0,
    ttlPerSchemaCoordinate: { 'Device.otaTask': 5_000, 'Device.otaTaskResult': 5_000 },
  },
});
