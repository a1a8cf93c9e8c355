import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { composeServices as composeWithApollo } from '@apollo/composition';
import { composeServices as composeWithGuild } from '@theguild/federation-composition';
import { type DirectiveNode, isObjectType, Kind, parse, print } from 'graphql';
import { describe, expect, it } from 'vitest';

import { createSchema, type SchemaOptions, schemaText } from '../../src/graphql/schema.ts';
import { type Environment, post, startService } from '../service.ts';
import { productsEnvironment, startProductsFile } from '../start-products.ts';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
const FILE = readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8');
const NONE: SchemaOptions = { productField: undefined, secretFieldScopes: undefined };
const SCOPES = ['ota:read', 'ota:secret'];

const PRODUCTS = { productField: { name: 'productId', isNonNull: false } };
const NEVER_NULL = { productField: { name: 'kind', isNonNull: true } };
const SCOPED = { secretFieldScopes: SCOPES };

/** `Type.field` with the directives on it. */
function directivesOf(sdl: string): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const definition of parse(sdl).definitions) {
    if (definition.kind !== Kind.OBJECT_TYPE_DEFINITION) continue;
    for (const { name, directives = [] } of definition.fields ?? []) {
      if (directives.length > 0) found[`${definition.name.value}.${name.value}`] = directives.map(print);
    }
  }
  return found;
}

function definitionsOf(sdl: string): string[] {
  return parse(sdl).definitions.map(print);
}

function linkOf(sdl: string): string {
  const [extension] = parse(sdl).definitions;
  return print((extension as unknown as { directives: DirectiveNode[] }).directives[0] as DirectiveNode);
}

const TAG = '@tag(name: "secret")';
const COST = '@cost(weight: 10)';
const REQUIRES = '@requires(fields: "productId")';
const REQUIRES_SCOPES = '@requiresScopes(scopes: [["ota:read", "ota:secret"]])';
const ALWAYS = {
  'Device.otaTask': [COST],
  'Device.otaTaskResult': [COST],
  'OtaTask.token': [TAG],
  'OtaTask.ipPort': [TAG],
  'OtaTask.downloadUrl': [TAG],
};
const SECRET_FIELDS = {
  'OtaTask.token': [TAG, REQUIRES_SCOPES],
  'OtaTask.ipPort': [TAG, REQUIRES_SCOPES],
  'OtaTask.downloadUrl': [TAG, REQUIRES_SCOPES],
};
const PRODUCT_FIELDS = {
  'Device.productId': ['@external'],
  'Device.otaTask': [COST, REQUIRES],
  'Device.otaTaskResult': [COST, REQUIRES],
};

describe('the schema', () => {
  it('is the file to the letter where nothing is chosen', () => {
    expect(schemaText(NONE)).toBe(FILE);
  });

  it.each<[string, Partial<SchemaOptions>, readonly string[], object]>([
    ['several products', PRODUCTS, ['@external', '@requires'], PRODUCT_FIELDS],
    ['scopes', SCOPED, ['@requiresScopes'], SECRET_FIELDS],
    [
      'both',
      { ...PRODUCTS, ...SCOPED },
      ['@external', '@requires', '@requiresScopes'],
      { ...PRODUCT_FIELDS, ...SECRET_FIELDS },
    ],
  ])('with %s has and imports their directives', (_, options, imports, changed) => {
    const sdl = schemaText({ ...NONE, ...options });
    const added = imports.map((name) => `, "${name}"`).join('');
    expect(linkOf(sdl)).toBe(
      `@link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@tag", "@cost"${added}])`,
    );
    expect(directivesOf(sdl)).toEqual({ ...ALWAYS, ...changed });
  });

  it('is otherwise the same, descriptions included', () => {
    const plain = (options: Partial<SchemaOptions>): string =>
      schemaText({ ...NONE, ...options })
        .replaceAll(/ @requires\w*\([^)]*\)/g, '')
        .replace(/@link.*/, '');
    const [before, after] = [print(parse(FILE)).replace(/@link.*/, ''), plain({ ...PRODUCTS, ...SCOPED })];
    expect(after.replace(/\n+ {2}"""[^"]*"""\n {2}productId: ID @external/, '').trim()).toBe(before.trim());
  });

  it('describes the product for whoever meets it in an explorer', () => {
    const device = createSchema({ ...NONE, ...NEVER_NULL }).getType('Device');
    const field = isObjectType(device) ? device.getFields()['kind'] : undefined;
    expect(String(field?.type)).toBe('ID!');
    expect(field?.description?.length).toBeGreaterThan(15);
  });
});

const COMPOSERS = [
  ['@apollo/composition', composeWithApollo],
  ['@theguild/federation-composition', composeWithGuild],
] as const;

/** With a subgraph that owns the devices and has this field. */
function composed(owned: string, sdl: string) {
  const devices = `
    extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])
    type Query { devices: [Device!]! }
    type Device @key(fields: "id") { id: ID! ${owned} }
  `;
  return [
    { name: 'devices', typeDefs: parse(devices), url: 'http://127.0.0.1:4002/graphql' },
    { name: 'onenet-ota-subgraph', typeDefs: parse(sdl), url: 'http://127.0.0.1:4001/graphql' },
  ];
}

describe.each<[string, Partial<SchemaOptions>, string]>([
  ['several products', PRODUCTS, 'productId: ID'],
  ['several products, each device having one', NEVER_NULL, 'kind: ID!'],
  ['scopes', SCOPED, 'productId: ID'],
  ['both', { ...NEVER_NULL, ...SCOPED }, 'kind: ID!'],
])('with %s, composed with the owner of the devices', (_, options, owned) => {
  const [field = ''] = owned.split(':');
  const services = composed(owned, schemaText({ ...NONE, ...options }));

  it.each(COMPOSERS)('has the fields of both with %s', (_, compose) => {
    const { supergraphSdl, errors } = compose(services);
    expect(errors ?? []).toEqual([]);
    const device = parse(supergraphSdl ?? '').definitions.find(
      (definition) => definition.kind === Kind.OBJECT_TYPE_DEFINITION && definition.name.value === 'Device',
    );
    const fields = (device as unknown as { fields: { name: { value: string } }[] }).fields;
    expect(fields.map(({ name }) => name.value).sort()).toEqual(
      ['id', 'otaTask', 'otaTaskResult', field].sort(),
    );
    if (options.productField !== undefined) {
      expect(supergraphSdl).toContain(`requires: "${field}"`);
      expect(supergraphSdl).toMatch(new RegExp(`${field}: \\S+ .*external: true`));
    }
    if (options.secretFieldScopes !== undefined) {
      const scoped = [...(supergraphSdl ?? '').matchAll(/(\w+): String!? .*@requiresScopes\((.*)\)/g)];
      expect(scoped.map(([, name]) => name)).toEqual(['token', 'ipPort', 'downloadUrl']);
      expect(scoped[0]?.[2]).toContain('[["ota:read", "ota:secret"]]');
    }
  });
});

describe('npm run print-schema', { timeout: 60_000 }, () => {
  const PATH = process.env['PATH'] ?? '';

  function printSchema(environment: Environment) {
    return spawnSync('npm', ['run', '--silent', 'print-schema'], {
      cwd: REPOSITORY,
      env: { PATH, ...environment },
      encoding: 'utf8',
    });
  }

  it('prints the file without any variable', () => {
    const printed = execFileSync('npm', ['run', '--silent', 'print-schema'], {
      cwd: REPOSITORY,
      env: { PATH },
    });
    expect(printed.equals(Buffer.from(FILE))).toBe(true);
  });

  it.each<[string, Environment]>([
    ['nothing but credentials', {}],
    ['several products', { DEVICE_PRODUCT_FIELD: 'kind!' }],
    ['scopes', { SECRET_FIELD_SCOPES: ' ota:read ,ota:secret' }],
  ])(
    'prints what a service serves with %s, and needs neither credentials nor the file',
    async (_, chosen) => {
      const hasProducts = 'DEVICE_PRODUCT_FIELD' in chosen;
      const environment = hasProducts ? productsEnvironment(startProductsFile()) : {};
      const service = await startService('http://127.0.0.1:9', { ...environment, ...chosen });
      const { body } = await post(service.url, '{ _service { sdl } }');
      const printed = printSchema({
        ...chosen,
        ...(hasProducts && { ONENET_PRODUCTS_FILE: '/nowhere/products.json' }),
      });
      expect([printed.status, printed.stderr]).toEqual([0, '']);
      // What a service tells has the definitions of federation, too.
      const served = definitionsOf(body.data._service.sdl);
      const [link = '', ...rest] = definitionsOf(printed.stdout);
      expect(served.join('\n')).toContain(link.replace('extend schema ', ''));
      for (const definition of rest) expect(served).toContain(definition);
      for (const [, compose] of COMPOSERS) {
        expect(
          compose(composed(hasProducts ? 'kind: ID!' : '', body.data._service.sdl)).errors ?? [],
        ).toEqual([]);
      }
    },
  );

  it('says what is wrong in one message', () => {
    const { status, stdout, stderr } = printSchema({
      SECRET_FIELD_SCOPES: 'canary,,',
      DEVICE_PRODUCT_FIELD: 'id',
      ONENET_PRODUCTS_FILE: '',
    });
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    for (const name of ['SECRET_FIELD_SCOPES', 'DEVICE_PRODUCT_FIELD', 'ONENET_PRODUCTS_FILE']) {
      expect(stderr).toContain(name);
    }
    expect(stderr).not.toContain('canary');
  });
});
