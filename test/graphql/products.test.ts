import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

import { buildSubgraphSchema } from '@apollo/subgraph';
import { type GraphQLFormattedError, parse } from 'graphql';
import { createYoga } from 'graphql-yoga';
import { describe, expect, it } from 'vitest';

import { createGatewayServer } from '../../demo/gateway.ts';
import { listen } from '../listen.ts';
import { scrape, valueOf } from '../metrics-text.ts';
import { askEntities, type Environment, type LogLine, post, type Service, type Until } from '../service.ts';
import {
  deviceOf,
  productOf,
  PRODUCTS,
  startDirectory,
  startProductsFile,
  startProductsService,
} from '../start-products.ts';
import { until } from '../until.ts';

const TARGET = 'otaTask(type: FOTA) { target }';
interface Entity {
  readonly otaTask: { readonly target: string };
}

const SECRET = '0123456789abcdef';

/** Both ways of executing an operation: Apollo's trace of every field takes graphql-js. */
const WAYS: readonly [way: string, Environment, Readonly<Record<string, string>>][] = [
  ['by plan', {}, {}],
  [
    'field by field',
    { ROUTER_SECRET: SECRET },
    { 'router-authorization': SECRET, 'apollo-federation-include-trace': 'ftv1' },
  ],
];

describe.each(WAYS)('with several products, %s', (_, environment, headers) => {
  it('each call is signed for the product of its device', async () => {
    const service = await startProductsService({}, environment);
    const { body } = await askEntities(
      service,
      TARGET,
      [deviceOf('a', 'p1'), deviceOf('b', 'p2'), deviceOf('c', 'p1')],
      headers,
    );
    expect(body.errors).toBeUndefined();
    expect(body.data._entities.map(({ otaTask }: Entity) => otaTask.target)).toEqual(['p1', 'p2', 'p1']);
    expect(service.onenet.calls.map((call) => [call.deviceId, productOf(call)])).toEqual([
      ['a', 'p1'],
      ['b', 'p2'],
      ['c', 'p1'],
    ]);
  });

  it('one device of two products is two devices, with a call for each', async () => {
    const service = await startProductsService({ latencyMs: 20 }, environment);
    const { body } = await askEntities(
      service,
      `id ${TARGET}`,
      [deviceOf('a', 'p1'), deviceOf('a', 'p2'), deviceOf('a', 'p1')],
      headers,
    );
    expect(body.data._entities).toEqual(
      ['p1', 'p2', 'p1'].map((target) => ({ id: 'a', otaTask: { target } })),
    );
    expect(service.onenet.calls.map(productOf)).toEqual(['p1', 'p2']);
  });

  it.each<[string, unknown]>([
    ['that the file does not name', 'p3'],
    ['that is in no file', '__proto__'],
    ['that is empty', ''],
    ['in other letters', 'P1'],
    ['with a space', 'p1 '],
    ['that is null', null],
    ['that is missing', undefined],
    ['that is a number', 1],
    ['that is a list', ['p1']],
    ['that is an object', { id: 'p1' }],
    ['that is a boolean', true],
  ])('a product %s is the error of the field, for no call, beside the others', async (_, product) => {
    const service = await startProductsService({}, environment);
    const { status, body } = await askEntities(
      service,
      `id ${TARGET} result: otaTaskResult(type: SOTA) { ... on OtaTask { target } }`,
      [deviceOf('a', product), deviceOf('b', 'p1')],
      headers,
    );
    expect(status).toBe(200);
    expect(body.data._entities).toEqual([
      { id: 'a', otaTask: null, result: null },
      { id: 'b', otaTask: { target: 'p1' }, result: { target: 'p1' } },
    ]);
    expect(body.errors.map(({ path, extensions }: GraphQLFormattedError) => ({ path, extensions }))).toEqual([
      {
        path: ['_entities', 0, 'otaTask'],
        extensions: { code: 'BAD_USER_INPUT', retryable: false, deviceId: 'a', otaType: 'FOTA' },
      },
      {
        path: ['_entities', 0, 'result'],
        extensions: { code: 'BAD_USER_INPUT', retryable: false, deviceId: 'a', otaType: 'SOTA' },
      },
    ]);
    expect(service.onenet.calls.map(({ deviceId }) => deviceId)).toEqual(['b', 'b']);
    expect(service.log.filter(({ level }) => (level as number) >= 50)).toEqual([]);
  });

  it('the field that names the product has the name and the type that are configured', async () => {
    const service = await startProductsService({}, { ...environment, DEVICE_PRODUCT_FIELD: 'kind!' });
    const { body } = await askEntities(
      service,
      TARGET,
      [
        { __typename: 'Device', id: 'a', kind: 'p2' },
        { __typename: 'Device', id: 'b', productId: 'p2' },
      ],
      headers,
    );
    expect(body.data._entities).toEqual([{ otaTask: { target: 'p2' } }, { otaTask: null }]);
  });
});

describe('requests at the same time', () => {
  it('for one device of two products do not share a call', async () => {
    const service = await startProductsService({ latencyMs: 50 });
    const answers = await Promise.all(
      ['p1', 'p2', 'p1'].map((product) => askEntities(service, TARGET, [deviceOf('a', product)])),
    );
    expect(answers.map(({ body }) => body.data._entities[0].otaTask.target)).toEqual(['p1', 'p2', 'p1']);
    expect(service.onenet.calls.map(productOf).sort()).toEqual(['p1', 'p2']);
  });
});

describe('the circuit', () => {
  it('counts one device of two products as two pairs', async () => {
    const service = await startProductsService({ fault: () => ({ kind: 'status', status: 500 }) });
    const asked = Array.from({ length: 20 }, (_, i) => deviceOf(`d${i >> 1}`, i % 2 === 0 ? 'p1' : 'p2'));
    await askEntities(service, TARGET, asked);
    expect(valueOf(await scrape(service), 'onenet_ota_upstream_circuit_state', { state: 'open' })).toBe(1);
  });
});

describe('what is kept in memory', () => {
  it('is kept for each product by itself', async () => {
    const service = await startProductsService({}, { CACHE_TTL_MS: '60000' });
    for (const product of ['p1', 'p2', 'p1', 'p2']) {
      const { body } = await askEntities(service, TARGET, [deviceOf('a', product)]);
      expect(body.data._entities[0].otaTask.target).toBe(product);
    }
    expect(service.onenet.calls.map(productOf)).toEqual(['p1', 'p2']);
  });
});

describe('the field that names the product, selected by hand', () => {
  const select = async (product: unknown, field = 'productId', type = field) => {
    const service = await startProductsService({}, { DEVICE_PRODUCT_FIELD: type });
    const answer = await askEntities(service, `id ${field} ${TARGET}`, [
      { __typename: 'Device', id: 'a', [field]: product },
    ]);
    return { ...answer, log: service.log };
  };

  it.each(['productId', 'reference', 'representation', 'constructor', 'kind'])(
    'is what the router sent: %s',
    async (field) => {
      const { body } = await select('p1', field);
      expect(body).toEqual({ data: { _entities: [{ id: 'a', [field]: 'p1', otaTask: { target: 'p1' } }] } });
    },
  );

  it('is null where the router does not know it', async () => {
    const { body } = await select(null);
    expect(body.data).toEqual({ _entities: [{ id: 'a', productId: null, otaTask: null }] });
    expect(body.errors.map(({ path }: GraphQLFormattedError) => path)).toEqual([['_entities', 0, 'otaTask']]);
  });

  it.each([
    ['a value that is no product', { secret: 'canary' }, 'productId', 'productId'],
    ['null where it is never null', null, 'productId', 'productId!'],
  ])('is a bad representation: %s', async (_, product, field, type) => {
    const { status, text, body, log } = await select(product, field, type);
    expect(status).toBe(200);
    const codes = body.errors.map(({ extensions }: GraphQLFormattedError) => extensions?.['code']);
    expect(new Set(codes)).toEqual(new Set(['BAD_USER_INPUT']));
    expect(text).not.toContain('canary');
    expect(log.filter(({ level }) => (level as number) >= 40)).toEqual([]);
  });
});

describe('through a gateway', () => {
  it.each([
    ['productId', 'ID'],
    ['productId!', 'ID!'],
    ['kind', 'ID'],
  ])(
    'the router sends the product of each device: DEVICE_PRODUCT_FIELD=%s, %s of its owner',
    async (setting, type) => {
      const service = await startProductsService({}, { DEVICE_PRODUCT_FIELD: setting });
      const field = setting.replace('!', '');
      const sdl = `
        extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])
        type Query { devices: [Device!]! }
        type Device @key(fields: "id") { id: ID! ${field}: ${type} }
      `;
      const owned = ['p1', 'p2', 'p1'].map((product, i) => ({ id: `d${i}`, [field]: product }));
      const schema = buildSubgraphSchema({
        typeDefs: parse(sdl),
        resolvers: { Query: { devices: () => owned } },
      });
      const yoga = createYoga({ schema, logging: false });
      const devicesUrl = await listen(createServer((request, response) => void yoga(request, response)));
      const otaSdl = (await post(service.url, '{ _service { sdl } }')).body.data._service.sdl as string;
      const gatewayUrl = await listen(
        createGatewayServer([
          { name: 'devices', sdl, url: devicesUrl },
          { name: 'onenet-ota-subgraph', sdl: otaSdl, url: service.url },
        ]),
      );
      const { body } = await post(gatewayUrl, `{ devices { id ${TARGET} } }`);
      expect(body).toEqual({
        data: {
          devices: owned.map((device) => ({ id: device.id, otaTask: { target: device[field] } })),
        },
      });
    },
  );
});

describe.concurrent('a products file that changes while the service runs', { timeout: 30_000 }, () => {
  const NEW_KEY = 'YW5vdGhlciBrZXkgdGhhbiBiZWZvcmU=';

  /** The service in front of a OneNET that knows these products. */
  function start(path: string, products: Readonly<Record<string, string>>, atEnd: Until) {
    return startProductsService({ path, products }, {}, atEnd);
  }

  async function targetOf(service: Service, product: string): Promise<unknown> {
    const { body } = await askEntities(service, TARGET, [deviceOf('a', product)]);
    return body.data._entities[0].otaTask?.target ?? body.errors[0].extensions.code;
  }

  const about = (log: readonly LogLine[]): LogLine[] =>
    log.filter(({ msg }) => String(msg).includes('products file'));

  it('signs the next calls with the keys that it names now', async ({ expect, onTestFinished }) => {
    const path = startProductsFile({ p1: PRODUCTS.p1 }, onTestFinished);
    const known: Record<string, string> = { ...PRODUCTS };
    const service = await start(path, known, onTestFinished);
    expect([await targetOf(service, 'p1'), await targetOf(service, 'p2')]).toEqual(['p1', 'BAD_USER_INPUT']);
    known['p1'] = NEW_KEY;
    expect(await targetOf(service, 'p1')).toBe('ONENET_UNAUTHORIZED');
    await until(() => service.log.some(({ result }) => result === 'unauthorized'));
    expect(service.log.find(({ result }) => result === 'unauthorized')).toMatchObject({ productId: 'p1' });
    writeFileSync(`${path}.new`, JSON.stringify({ p1: NEW_KEY, p2: PRODUCTS.p2 }));
    renameSync(`${path}.new`, path);
    await until(async () => (await targetOf(service, 'p2')) === 'p2');
    expect(await targetOf(service, 'p1')).toBe('p1');
    writeFileSync(path, JSON.stringify({ p2: PRODUCTS.p2 }));
    await until(async () => (await targetOf(service, 'p1')) === 'BAD_USER_INPUT');
    await until(() => about(service.log).length >= 2);
    expect(about(service.log).map(({ msg, products }) => [msg, products])).toEqual([
      ['products file changed', 2],
      ['products file changed', 1],
    ]);
    expect(JSON.stringify(service.log)).not.toMatch(/YW5vdGhl|KuF3NT|c2VjcmV0/);
  });

  it('follows the link that Kubernetes swaps when a mounted secret changes', async ({
    expect,
    onTestFinished,
  }) => {
    const directory = startDirectory(onTestFinished);
    const mount = (version: string, products: object): void => {
      mkdirSync(join(directory, version));
      writeFileSync(join(directory, version, 'products.json'), JSON.stringify(products));
      symlinkSync(version, join(directory, '..data_tmp'));
      renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
    };
    mount('..1', { p1: PRODUCTS.p1 });
    symlinkSync(join('..data', 'products.json'), join(directory, 'products.json'));
    const service = await start(join(directory, 'products.json'), PRODUCTS, onTestFinished);
    expect(await targetOf(service, 'p2')).toBe('BAD_USER_INPUT');
    mount('..2', PRODUCTS);
    rmSync(join(directory, '..1'), { recursive: true });
    await until(async () => (await targetOf(service, 'p2')) === 'p2');
    await until(() => about(service.log).length > 0);
    expect(about(service.log).map(({ msg }) => msg)).toEqual(['products file changed']);
  });

  it.for<[string, (path: string) => void, string]>([
    ['cut', (path) => writeFileSync(path, `{"p1":"${NEW_KEY}`), 'is not a JSON object'],
    ['empty', (path) => writeFileSync(path, ''), 'is not a JSON object'],
    ['without a product', (path) => writeFileSync(path, '{}'), 'names no product'],
    ['not as it should be', (path) => writeFileSync(path, `{"p1":"${NEW_KEY}!"}`), 'has an access key'],
    ['gone', (path) => rmSync(path), 'cannot be read'],
    [
      'a directory',
      (path) => {
        rmSync(path);
        mkdirSync(path);
      },
      'cannot be read',
    ],
  ])(
    'is as it was while it is %s, which is said once and without a key',
    async ([, spoil, fault], { expect, onTestFinished }) => {
      const path = startProductsFile(PRODUCTS, onTestFinished);
      const service = await start(path, PRODUCTS, onTestFinished);
      spoil(path);
      await until(() => about(service.log).length > 0);
      expect([await targetOf(service, 'p1'), await targetOf(service, 'p2')]).toEqual(['p1', 'p2']);
      rmSync(path, { recursive: true, force: true });
      const onlyFirst = JSON.stringify({ p1: PRODUCTS.p1 });
      writeFileSync(`${path}.new`, onlyFirst);
      renameSync(`${path}.new`, path);
      await until(() => about(service.log).at(-1)?.['msg'] === 'products file changed');
      expect(await targetOf(service, 'p2')).toBe('BAD_USER_INPUT');
      const lines = about(service.log);
      expect(lines[0]).toMatchObject({ level: 50, fault: expect.stringContaining(fault) });
      expect(lines.filter(({ fault }) => fault === lines[0]?.['fault'])).toHaveLength(1);
      expect(JSON.stringify(service.log)).not.toMatch(/YW5vdGhl|KuF3NT|c2VjcmV0/);
    },
  );
});
