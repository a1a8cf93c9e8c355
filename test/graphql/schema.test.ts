import { readFileSync } from 'node:fs';

import { composeServices as composeWithApollo } from '@apollo/composition';
import { composeServices as composeWithGuild } from '@theguild/federation-composition';
import {
  type DocumentNode,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  isSpecifiedScalarType,
  Kind,
  parse,
} from 'graphql';
import { describe, expect, it } from 'vitest';

import { createSchema } from '../../src/graphql/schema.ts';
import { post, startBoth } from '../service.ts';

const SDL = readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8');

/** A supergraph needs a subgraph that owns the devices. */
const DEVICES_SDL = `
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])
  type Query { devices: [Device!]! }
  type Device @key(fields: "id") { id: ID! name: String! }
`;

/** `Type`, `Type.field`, `Type.field(argument)` or `Enum.VALUE`, for everything that the subgraph defines. */
function elements(): { readonly name: string; readonly description: string }[] {
  const found: { name: string; description: string }[] = [];
  const add = (name: string, described: { description?: string | null | undefined }): void => {
    found.push({ name, description: described.description ?? '' });
  };
  for (const type of Object.values(
    createSchema({ productField: undefined, secretFieldScopes: undefined }).getTypeMap(),
  )) {
    if (type.name.startsWith('_') || type.name === 'Query' || isSpecifiedScalarType(type)) continue;
    if (/^(federation|link)__/.test(type.name)) continue;
    add(type.name, type);
    if (isEnumType(type)) for (const value of type.getValues()) add(`${type.name}.${value.name}`, value);
    if (!isObjectType(type) && !isInterfaceType(type) && !isInputObjectType(type)) continue;
    for (const field of Object.values(type.getFields())) {
      add(`${type.name}.${field.name}`, field);
      if (!('args' in field)) continue;
      for (const argument of field.args) add(`${type.name}.${field.name}(${argument.name})`, argument);
    }
  }
  return found;
}

describe('the schema', () => {
  it('has exactly the elements of the contract', () => {
    expect(
      elements()
        .map(({ name }) => name)
        .sort(),
    ).toEqual(
      [
        ...['Device', 'Device.id', 'Device.otaTask', 'Device.otaTask(type)'],
        ...['Device.otaTaskResult', 'Device.otaTaskResult(type)'],
        ...['OtaTaskType', 'OtaTaskType.FOTA', 'OtaTaskType.SOTA'],
        ...['OtaPackageType', 'OtaPackageType.FULL', 'OtaPackageType.DELTA'],
        ...['OtaTask', 'OtaTask.target', 'OtaTask.token', 'OtaTask.size', 'OtaTask.signal', 'OtaTask.power'],
        ...['OtaTask.retry', 'OtaTask.interval', 'OtaTask.md5', 'OtaTask.ipPort', 'OtaTask.type'],
        ...[
          'OtaTask.downloadUrl',
          'OtaTaskResult',
          'OtaTaskAbsent',
          'OtaTaskAbsent.reason',
          'OtaTaskAbsent.errno',
        ],
        ...['OtaTaskAbsenceReason', 'OtaTaskAbsenceReason.NO_TASK', 'OtaTaskAbsenceReason.TOKEN_EXPIRED'],
      ].sort(),
    );
  });

  it.each(elements())('describes $name for users of an explorer', ({ description }) => {
    expect(description.length).toBeGreaterThan(15);
  });
});

describe.each([
  ['the file', async () => SDL],
  [
    'what the running service tells a composer',
    async () => {
      const service = await startBoth();
      return (await post(service.url, '{ _service { sdl } }')).body.data._service.sdl as string;
    },
  ],
])('%s, composed with the owner of the devices', (_, readSdl) => {
  it('gives Device the fields of both subgraphs with @theguild/federation-composition', async () => {
    const { supergraphSdl, errors } = composeWithGuild(services(await readSdl()));
    expect(errors).toBeUndefined();
    expect(deviceFields(supergraphSdl ?? '')).toEqual(['id', 'name', 'otaTask', 'otaTaskResult']);
  });

  it('gives Device the fields of both subgraphs with @apollo/composition, without hints', async () => {
    const { supergraphSdl, errors, hints } = composeWithApollo(services(await readSdl()));
    expect(errors).toBeUndefined();
    expect(deviceFields(supergraphSdl ?? '')).toEqual(['id', 'name', 'otaTask', 'otaTaskResult']);
    expect((hints ?? []).map(({ definition }) => definition.code)).toEqual([]);
  });
});

function services(sdl: string): { name: string; typeDefs: DocumentNode; url: string }[] {
  return [
    { name: 'devices', typeDefs: parse(DEVICES_SDL), url: 'http://127.0.0.1:4002/graphql' },
    { name: 'onenet-ota-subgraph', typeDefs: parse(sdl), url: 'http://127.0.0.1:4001/graphql' },
  ];
}

function deviceFields(supergraphSdl: string): string[] {
  return parse(supergraphSdl).definitions.flatMap((definition) =>
    definition.kind === Kind.OBJECT_TYPE_DEFINITION && definition.name.value === 'Device'
      ? (definition.fields ?? []).map(({ name }) => name.value).sort()
      : [],
  );
}
