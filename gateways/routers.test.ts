import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { parse } from 'yaml';

import { gatewayConfig as hive } from '../routers/hive-gateway.config.ts';
import { readConfig } from '../src/config/config.ts';
import { askEntities, devices, post } from '../test/service.ts';
import { type Company, refusal, SECRET, startCompany } from './company.ts';
import { SUPERGRAPH_COMPOSERS } from './composers.ts';
import { hiveGateway } from './gateways.ts';

const NAME = 'onenet-ota-subgraph';
const apollo = read('apollo-router.yaml');
const cosmo = read('cosmo-router.yaml');
const hiveRouter = read('hive-router.yaml');

let company: Company;
beforeAll(async () => {
  company = await startCompany();
});
afterAll(() => company.close());

describe('the configurations', () => {
  it('let through just those extensions that the service sends', async () => {
    company.own();
    company.fail({ a: refusal(7) });
    const url = company.subgraphs.find(({ name }) => name === NAME)?.url ?? '';
    const { body } = await askEntities({ url, log: [] }, 'otaTask(type: FOTA) { size }', devices('a'), {
      'router-authorization': SECRET,
    });
    const sent = Object.keys(body.errors[0].extensions).sort();
    const { all, subgraphs } = apollo.include_subgraph_errors;
    const allowed = [...all.allow_extensions_keys, ...subgraphs[NAME].allow_extensions_keys];
    expect(allowed.sort()).toEqual(sent);
    expect([...cosmo.subgraph_error_propagation.allowed_extension_fields].sort()).toEqual(sent);
    expect([...hiveRouter.error_masking.subgraphs[NAME].extensions.keys].sort()).toEqual(sent);
  });

  it.each<[string, string | number]>([
    ['Apollo Router', apollo.traffic_shaping.subgraphs[NAME].timeout],
    ['Cosmo Router', cosmo.traffic_shaping.subgraphs[NAME].request_timeout],
    ['Hive Router', hiveRouter.traffic_shaping.subgraphs[NAME].request_timeout],
    ['Hive Gateway', `${Number(hive.upstreamTimeout) / 1000}s`],
  ])('%s waits longer than the service takes at most', (_, timeout) => {
    const { requestTimeoutMs } = readConfig({ ONENET_AUTHORIZATION: 'token' });
    expect(timeout).toMatch(/^\d+s$/);
    expect(parseInt(String(timeout)) * 1000).toBeGreaterThan(requestTimeoutMs);
  });

  it('the routers give the service alone the secret from the environment', () => {
    expect(apollo.headers).toEqual({
      subgraphs: {
        [NAME]: { request: [{ insert: { name: 'router-authorization', value: '${env.ROUTER_SECRET}' } }] },
      },
    });
    expect(hiveRouter.headers.all).toBeUndefined();
    expect(Object.keys(hiveRouter.headers.subgraphs)).toEqual([NAME]);
    expect(hiveRouter.headers.subgraphs[NAME].request).toEqual([
      { insert: { name: 'router-authorization', value: { from_env: 'ROUTER_SECRET' } } },
    ]);
    expect(cosmo.headers).toEqual({
      subgraphs: {
        [NAME]: { request: [{ op: 'set', name: 'router-authorization', value: '${ROUTER_SECRET}' }] },
      },
    });
  });
});

describe("Hive Gateway's cache", () => {
  it('keeps an answer for the user who got it, and for nobody else', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gateways-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const composer = '@apollo/composition';
    const gateway = await hiveGateway(composer, SUPERGRAPH_COMPOSERS[composer]).start({
      subgraphs: company.subgraphs,
      secret: SECRET,
      folder,
    });
    onTestFinished(() => gateway.close());
    company.own('a');
    const callsAfter = async (query: string, headers: Record<string, string>) => {
      const { body } = await post(gateway.url, query, {}, headers);
      expect(body.data.devices).toHaveLength(1);
      return company.onenet.calls.length;
    };
    const task = '{ devices { otaTask(type: FOTA) { token } } }';
    expect(await callsAfter(task, { authorization: 'Bearer one' })).toBe(1);
    expect(await callsAfter(task, { authorization: 'Bearer one' })).toBe(1);
    expect(await callsAfter(task, { authorization: 'Bearer two' })).toBe(2);
    expect(await callsAfter(task, {})).toBe(3);
    expect(await callsAfter(task, {})).toBe(4);

    company.fail({ a: refusal(26) });
    const failing = '{ devices { otaTask(type: SOTA) { token } } }';
    expect(await callsAfter(failing, { authorization: 'Bearer one' })).toBe(5);
    expect(await callsAfter(failing, { authorization: 'Bearer one' })).toBe(6);
  });
});

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a test reads what it names
function read(file: string): any {
  return parse(readFileSync(new URL(`../routers/${file}`, import.meta.url), 'utf8'));
}
