import { readFileSync } from 'node:fs';

import { composeServices as composeWithApollo } from '@apollo/composition';
import {
  composeSchemaContract,
  composeServices as composeWithGuild,
  transformSupergraphToPublicSchema,
} from '@theguild/federation-composition';
import { buildASTSchema, type DocumentNode, type GraphQLObjectType, Kind, parse, print } from 'graphql';
import { describe, expect, it } from 'vitest';

import { DEVICES_SDL } from '../../demo/devices.ts';
import { schemaText } from '../../src/graphql/schema.ts';
import { post, startBoth } from '../service.ts';

const FILE = readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8');
const TAGS = {
  'OtaTask.token': '@tag(name: "secret")',
  'OtaTask.ipPort': '@tag(name: "secret")',
  'OtaTask.downloadUrl': '@tag(name: "secret")',
};
const COSTS = {
  'Device.otaTask': '@cost(weight: 10)',
  'Device.otaTaskResult': '@cost(weight: 10)',
};

const SUPERGRAPHS = [
  ['@apollo/composition', composeWithApollo],
  ['@theguild/federation-composition', composeWithGuild],
] as const;

function services(sdl: string): { name: string; typeDefs: DocumentNode; url: string }[] {
  return [
    {
      name: 'devices',
      typeDefs: parse(DEVICES_SDL.replace('model: String!', 'model: String! product: ID!')),
      url: 'http://127.0.0.1:4002/graphql',
    },
    { name: 'onenet-ota-subgraph', typeDefs: parse(sdl), url: 'http://127.0.0.1:4001/graphql' },
  ];
}

/** `Type.field` with the directive of this name on it. */
function applied(directive: string, sdl: string): Record<string, string> {
  return Object.fromEntries(
    parse(sdl).definitions.flatMap((definition) =>
      definition.kind === Kind.OBJECT_TYPE_DEFINITION
        ? (definition.fields ?? []).flatMap((field) =>
            (field.directives ?? [])
              .filter(({ name }) => name.value === directive)
              .map((node) => [`${definition.name.value}.${field.name.value}`, print(node)]),
          )
        : [],
    ),
  );
}

describe.each<[string, () => Promise<string> | string]>([
  ['the file', () => FILE],
  [
    'the schema with every option',
    () => schemaText({ productField: { name: 'product', isNonNull: true }, secretFieldScopes: ['ota'] }),
  ],
  [
    'what the running service tells a composer',
    async () =>
      (await post((await startBoth()).url, '{ _service { sdl } }')).body.data._service.sdl as string,
  ],
])('%s', (_, readSdl) => {
  it('tags the secrets of a task, and prices the fields that cost a call', async () => {
    const sdl = await readSdl();
    expect(applied('tag', sdl)).toEqual(TAGS);
    expect(applied('cost', sdl)).toEqual(COSTS);
  });

  it.each(SUPERGRAPHS)('brings tags and prices into the supergraph of %s', async (_, compose) => {
    const { supergraphSdl = '', errors = [] } = compose(services(await readSdl()));
    expect(errors).toEqual([]);
    expect(applied('tag', supergraphSdl)).toEqual(TAGS);
    expect(applied('cost', supergraphSdl)).toEqual(COSTS);
  });
});

describe('a contract without what is tagged as secret', () => {
  const { supergraphSdl = '', errors = [] } = composeSchemaContract(services(FILE), {
    include: new Set(),
    exclude: new Set(['secret']),
  });
  const schema = buildASTSchema(transformSupergraphToPublicSchema(parse(supergraphSdl)));
  const fieldsOf = (name: string) => Object.keys((schema.getType(name) as GraphQLObjectType).getFields());

  it('composes', () => {
    expect(errors).toEqual([]);
  });

  it('shows clients everything else', () => {
    expect(fieldsOf('OtaTask').sort()).toEqual([
      'interval',
      'md5',
      'power',
      'retry',
      'signal',
      'size',
      'target',
      'type',
    ]);
    expect(fieldsOf('Device')).toEqual(expect.arrayContaining(['id', 'name', 'otaTask', 'otaTaskResult']));
  });
});
