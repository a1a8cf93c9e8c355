import { createServer } from 'node:http';

import { buildSubgraphSchema } from '@apollo/subgraph';
import { parse } from 'graphql';
import { createYoga } from 'graphql-yoga';

export const DEVICES_SDL = `
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])

  type Query {
    "All devices of the company."
    devices: [Device!]!
    "One of them, null where there is none with this id."
    device(id: ID!): Device
  }

  "An IoT device of the company."
  type Device @key(fields: "id") {
    "The id that OneNET knows it by."
    id: ID!
    "Where it is and what it does."
    name: String!
    "The product it is an instance of."
    model: String!
  }
`;

export interface Device {
  readonly id: string;
  readonly name: string;
  readonly model: string;
}

/** Creates the subgraph that owns `Device` in the demo; it is not listening yet. */
export function createDevicesServer(devices: readonly Device[]) {
  const find = ({ id }: { readonly id: string }) => devices.find((device) => device.id === id) ?? null;
  const schema = buildSubgraphSchema({
    typeDefs: parse(DEVICES_SDL),
    resolvers: {
      Query: { devices: () => devices, device: (_: unknown, key: { readonly id: string }) => find(key) },
      Device: { __resolveReference: find },
    },
  });
  const yoga = createYoga({ schema, logging: false, graphiql: false, landingPage: false });
  return createServer((request, response) => void yoga(request, response));
}
