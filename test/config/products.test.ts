import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { type ConfigError, readConfig } from '../../src/config/config.ts';
import { type Environment, launch } from '../service.ts';
import { PRODUCTS, startDirectory, startProductsFile } from '../start-products.ts';

const CANARY = 'C4n4ry';

describe('a products file', () => {
  it('takes the place of the other credentials', () => {
    const path = startProductsFile();
    const { credentials, schema } = readConfig({ ONENET_PRODUCTS_FILE: path, ONENET_SIGN_METHOD: 'sha1' });
    expect(credentials).toEqual({
      products: new Map(Object.entries(PRODUCTS)),
      productsFile: path,
      method: 'sha1',
      ttlSeconds: 3600,
    });
    expect(schema.productField).toEqual({ name: 'productId', isNonNull: false });
  });

  it.each([
    ['productId', { name: 'productId', isNonNull: false }],
    ['productId!', { name: 'productId', isNonNull: true }],
    ['_kind2', { name: '_kind2', isNonNull: false }],
    ['otaTasks', { name: 'otaTasks', isNonNull: false }],
  ])('names the product of a device in the field that is chosen: %s', (value, field) => {
    const environment = { ONENET_PRODUCTS_FILE: startProductsFile(), DEVICE_PRODUCT_FIELD: value };
    expect(readConfig(environment).schema.productField).toEqual(field);
  });
});

/** Gives a path to something that is no products file. */
const FAULTY: readonly [what: string, () => string][] = [
  ['is not there', () => join(startDirectory(), CANARY)],
  ['is a directory', () => startDirectory()],
  ['is empty', () => fileWith('')],
  ['names no product', () => fileWith('{}')],
  ['is a list', () => fileWith(`["${CANARY}"]`)],
  ['is cut', () => fileWith(`{"p1":"${CANARY}`)],
  ['has a key that is not base64', () => fileWith(`{"p1":"${CANARY}!"}`)],
  ['has a product that is not letters and digits', () => fileWith(`{"${CANARY}/1":"QUJD"}`)],
];

function fileWith(text: string): string {
  const path = join(startDirectory(), 'products.json');
  writeFileSync(path, text);
  return path;
}

describe('the start is refused', { timeout: 30_000 }, () => {
  /** Why it is refused. */
  function refusalOf(environment: Environment): string {
    try {
      readConfig(environment);
    } catch (error) {
      return (error as ConfigError).message;
    }
    throw new Error('the configuration is accepted');
  }

  it.each(FAULTY)('where the products file %s', (_, create) => {
    const refusal = refusalOf({ ONENET_PRODUCTS_FILE: create() });
    expect(refusal).toContain('ONENET_PRODUCTS_FILE');
    expect(refusal).not.toContain(CANARY);
  });

  it.each<[string, Environment]>([
    ['a token', { ONENET_AUTHORIZATION: CANARY }],
    ['a product id and its key', { ONENET_PRODUCT_ID: CANARY, ONENET_ACCESS_KEY: `${CANARY}QQ` }],
    ['a product id', { ONENET_PRODUCT_ID: CANARY }],
  ])('where there is a products file beside %s', (_, environment) => {
    const refusal = refusalOf({ ONENET_PRODUCTS_FILE: startProductsFile(), ...environment });
    expect(refusal).toContain('ONENET_PRODUCTS_FILE');
    for (const name of Object.keys(environment)) expect(refusal).toContain(name);
    expect(refusal).not.toMatch(/C4n4ry|KuF3NT|c2Vjcm/);
  });

  it('where the field of the product is named and there is no products file', () => {
    const refusal = refusalOf({ ONENET_AUTHORIZATION: CANARY, DEVICE_PRODUCT_FIELD: CANARY });
    expect(refusal).toMatch(/DEVICE_PRODUCT_FIELD .*ONENET_PRODUCTS_FILE/);
    expect(refusal).not.toContain(CANARY);
  });

  it('with one message that names all that is new and wrong, and no value', async () => {
    const environment = {
      CACHE_TTL_MS: CANARY,
      CACHE_ABSENT_TTL_MS: '-1',
      CACHE_MAX_ENTRIES: '0',
      REDIS_URL: `redis://:${CANARY}%@127.0.0.1/${CANARY}`,
      ONENET_CALLS_PER_SECOND: '',
      ONENET_PRODUCTS_FILE: `/${CANARY}`,
      DEVICE_PRODUCT_FIELD: 'otaTask',
      SECRET_FIELD_SCOPES: `${CANARY},`,
    };
    const { exited, lines } = launch({ PORT: '0', ...environment });
    expect(await exited).toBe(1);
    expect(lines).toHaveLength(1);
    for (const name of Object.keys(environment)) expect(lines[0]).toContain(name);
    expect(lines[0]).not.toContain(CANARY);
  });
});
