import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { buildClientSchema, buildSchema, getIntrospectionQuery, isObjectType } from 'graphql';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { FAILURES as EVERY_FAILURE, oneOfEach } from '../test/failures.ts';
import { post } from '../test/service.ts';
import { type Company, MAX_DEVICE_TASKS, refusal, SECRET, startCompany, SUBGRAPHS } from './company.ts';
import type { Gateway } from './gateways.ts';
import type { Program } from './program.ts';

const root = mkdtempSync(join(tmpdir(), 'gateways-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const newFolder = (): string => mkdtempSync(join(root, 'gateway-'));

/** Types of the service that no other subgraph has. */
const OWN_TYPES = Object.values(
  buildSchema(SUBGRAPHS[1]?.sdl ?? '', { assumeValidSDL: true }).getTypeMap(),
).filter(({ name }) => name.startsWith('Ota'));

/** What OneNET does, and what the client is told. */
const FAILURES = oneOfEach('code', EVERY_FAILURE);

/** Holds gateways and routers to one table of assertions, run behind real processes. */
export function holdToTheTable(gateways: readonly Gateway[]): void {
  describe.each(gateways)('$name', (kind) => {
    let company: Company;
    let gateway: Program;
    beforeAll(async () => {
      company = await startCompany({ CACHE_MAX_AGE_SECONDS: '5' });
      gateway = await kind.start({ subgraphs: company.subgraphs, secret: SECRET, folder: newFolder() });
    });
    afterAll(async () => {
      await gateway.close();
      await company.close();
    });

    const ask = async (query: string, variables = {}) => (await post(gateway.url, query, variables)).body;
    const calls = () => company.onenet.calls.map(({ deviceId, type, cdn }) => [deviceId, type, cdn]);

    it('merges the data of both subgraphs, for one call a device', async () => {
      company.own('a', 'b', 'c');
      const body = await ask(
        `{ devices { id name model otaTask(type: FOTA) {
        target token size signal power retry interval md5 type ipPort downloadUrl
      } } }`,
      );
      const ipPort = new URL(company.onenet.url).host;
      expect(body).toEqual({
        data: {
          devices: ['a', 'b', 'c'].map((id) => {
            const task = company.task(id, 'FOTA');
            return {
              id,
              name: `Device ${id}`,
              model: 'M-1',
              otaTask: {
                ...task,
                type: task.type === 1 ? 'FULL' : 'DELTA',
                ipPort,
                downloadUrl: `http://${ipPort}/ota/download/${task.token}`,
              },
            };
          }),
        },
      });
      expect(calls().sort()).toEqual([
        ['a', '1', 'true'],
        ['b', '1', 'true'],
        ['c', '1', 'true'],
      ]);
    });

    it('asks once for a device that is in a list more than once', async () => {
      company.own('a', 'b', 'a', 'a');
      const body = await ask('{ devices { id otaTask(type: FOTA) { size } } }');
      expect(body).toEqual({
        data: {
          devices: ['a', 'b', 'a', 'a'].map((id) => ({
            id,
            otaTask: { size: company.task(id, 'FOTA').size },
          })),
        },
      });
      expect(calls().sort()).toEqual([
        ['a', '1', null],
        ['b', '1', null],
      ]);
    });

    it('keeps aliases apart: both tasks of a device, and two devices', async () => {
      company.own('a', 'b');
      const body = await ask(
        `query ($software: OtaTaskType!, $address: Boolean!) {
        one: device(id: "a") {
          firmware: otaTask(type: FOTA) { ...Version }
          software: otaTask(type: $software) { ...Version ipPort @include(if: $address) }
        }
        other: device(id: "b") { firmware: otaTask(type: FOTA) { ...Version } }
      }
      fragment Version on OtaTask { version: target }`,
        { software: 'SOTA', address: false },
      );
      const version = (id: string, type: 'FOTA' | 'SOTA') => ({ version: company.task(id, type).target });
      expect(body).toEqual({
        data: {
          one: { firmware: version('a', 'FOTA'), software: version('a', 'SOTA') },
          other: { firmware: version('b', 'FOTA') },
        },
      });
      expect(calls().sort()).toEqual([
        ['a', '1', null],
        ['a', '2', null],
        ['b', '1', null],
      ]);
    });

    it('says of each failure what it was and whose, beside the data of the others', async () => {
      const ids = ['first', ...FAILURES.map(({ deviceId }) => deviceId), 'last'];
      company.own(...ids);
      company.fail(Object.fromEntries(FAILURES.map(({ deviceId, fault }) => [deviceId, fault])));
      const body = await ask('{ devices { name otaTask(type: SOTA) { target } } }');
      expect(body.data.devices).toEqual(
        ids.map((id) => ({
          name: `Device ${id}`,
          otaTask: id === 'first' || id === 'last' ? { target: company.task(id, 'SOTA').target } : null,
        })),
      );
      const told = body.errors.map(({ path, extensions }: GatewayError) => {
        // Some gateways add which subgraph it was.
        const { serviceName, ...own } = extensions;
        expect(serviceName ?? 'onenet-ota-subgraph').toBe('onenet-ota-subgraph');
        return { path, extensions: own };
      });
      expect(told).toHaveLength(FAILURES.length);
      expect(told).toEqual(
        expect.arrayContaining(
          FAILURES.map(({ deviceId, code, retryable, errno }, index) => ({
            path: kind.pathHasIndex ? ['devices', index + 1, 'otaTask'] : ['devices', 'otaTask'],
            extensions: {
              ...{ code, retryable, deviceId, otaType: 'SOTA' },
              ...(errno === undefined ? {} : { errno }),
            },
          })),
        ),
      );
    });

    it('lets one task of a device fail without the other', async () => {
      company.own('a');
      company.fail({ 'a FOTA': refusal(26) });
      const body = await ask(
        '{ devices { firmware: otaTask(type: FOTA) { size } otaTask(type: SOTA) { size } } }',
      );
      expect(body.data.devices).toEqual([
        { firmware: null, otaTask: { size: company.task('a', 'SOTA').size } },
      ]);
      expect(codesOf(body)).toEqual(['ONENET_UNKNOWN_ERRNO']);
    });

    it('says that an id cannot be one of OneNET, beside the data of the others', async () => {
      company.own('a', 'not an id');
      const body = await ask('{ devices { id otaTask(type: FOTA) { size } } }');
      expect(body.data.devices).toEqual([
        { id: 'a', otaTask: { size: company.task('a', 'FOTA').size } },
        { id: 'not an id', otaTask: null },
      ]);
      expect(codesOf(body)).toEqual(['BAD_USER_INPUT']);
    });

    it('has each kind of result as data: a task, no task, an expired token', async () => {
      company.own('good', 'no-task', 'expired', 'broken');
      company.fail({ 'no-task': refusal(4), expired: refusal(12), broken: refusal(7) });
      const body = await ask(
        `{ devices { id otaTaskResult(type: FOTA) {
        __typename
        ... on OtaTask { size type }
        ... on OtaTaskAbsent { reason errno }
      } } }`,
      );
      const { size, type } = company.task('good', 'FOTA');
      expect(body.data.devices).toEqual([
        {
          id: 'good',
          otaTaskResult: { __typename: 'OtaTask', size, type: type === 1 ? 'FULL' : 'DELTA' },
        },
        { id: 'no-task', otaTaskResult: { __typename: 'OtaTaskAbsent', reason: 'NO_TASK', errno: 4 } },
        { id: 'expired', otaTaskResult: { __typename: 'OtaTaskAbsent', reason: 'TOKEN_EXPIRED', errno: 12 } },
        { id: 'broken', otaTaskResult: null },
      ]);
      expect(codesOf(body)).toEqual(['ONENET_INTERNAL_ERROR']);
    });

    it('says that an operation is too large, beside the data of the other subgraph', async () => {
      const ids = Array.from({ length: MAX_DEVICE_TASKS + 1 }, (_, index) => `d${index}`);
      company.own(...ids);
      const body = await ask('{ devices { id name otaTask(type: FOTA) { size } } }');
      expect(body.data.devices).toEqual(ids.map((id) => ({ id, name: `Device ${id}`, otaTask: null })));
      expect(codesOf(body)).toEqual(['OPERATION_TOO_LARGE']);
      expect(calls()).toEqual([]);
    });

    it('tells caches what the service says of its answers, or less', async () => {
      company.own('a');
      const cacheControl = async (): Promise<unknown> => {
        const { headers, body } = await request(gateway.url, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ query: '{ devices { otaTask(type: FOTA) { size } } }' }),
        });
        await body.dump();
        return headers['cache-control'];
      };
      expect(await cacheControl()).toBe(kind.cacheControl.data);
      company.fail({ a: refusal(26) });
      expect(await cacheControl()).toBe(kind.cacheControl.errors);
    });

    it('shows explorers the descriptions, and nothing of the federation', async () => {
      if (kind.introspection === 'open') return expectToBeExplorable(gateway.url);
      const { body } = await post(gateway.url, '{ __schema { types { name } } }');
      expect(codesOf(body)).toEqual([kind.introspection]);
    });

    it('with the wrong secret gets no task, and tells neither a secret nor an address', async () => {
      const wrong = 'a-secret-that-is-not-the-one';
      const stranger = await kind.start({ subgraphs: company.subgraphs, secret: wrong, folder: newFolder() });
      onTestFinished(() => stranger.close());
      company.own('a', 'b');
      const { text, body } = await post(stranger.url, '{ devices { name otaTask(type: FOTA) { size } } }');
      expect(body.data.devices).toEqual([
        { name: 'Device a', otaTask: null },
        { name: 'Device b', otaTask: null },
      ]);
      expect(codesOf(body)).toEqual(kind.refusalCodes);
      for (const secret of [SECRET, wrong, ...company.subgraphs.map(({ url }) => new URL(url).host)]) {
        expect(text).not.toContain(secret);
      }
      expect(calls()).toEqual([]);
    });
  });
}

/** What an explorer asks first. */
export async function expectToBeExplorable(url: string): Promise<void> {
  const { body } = await post(url, getIntrospectionQuery());
  const schema = buildClientSchema(body.data);
  const names = Object.keys(schema.getTypeMap()).filter((name) => !name.startsWith('__'));
  expect(names.filter((name) => /^_|^join__|^link__|^federation/.test(name))).toEqual([]);
  expect(Object.keys(schema.getQueryType()?.getFields() ?? {}).sort()).toEqual(['device', 'devices']);
  for (const type of OWN_TYPES) {
    const told = schema.getType(type.name);
    expect(told?.description).toBe(type.description);
    if (!isObjectType(type) || !isObjectType(told)) continue;
    for (const { name, description } of Object.values(type.getFields())) {
      // One of them indents what follows the first line.
      expect(told.getFields()[name]?.description?.replaceAll(/\n +/g, '\n')).toBe(description);
    }
  }
}

interface GatewayError {
  readonly path: readonly (string | number)[];
  readonly extensions: { readonly code: string } & Readonly<Record<string, unknown>>;
}

/** Each code once. */
function codesOf(body: { readonly errors: readonly GatewayError[] }): string[] {
  return [...new Set(body.errors.map(({ extensions }) => extensions.code))].sort();
}
