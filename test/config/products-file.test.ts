import { mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { parseProducts, type Products, readProducts, watchProducts } from '../../src/config/products-file.ts';
import type { Until } from '../service.ts';
import { startDirectory } from '../start-products.ts';
import { until } from '../until.ts';

const KEY = 'KuF3NT/jUBJ62LNBB/A8XZA9CqS3Cu79B/ABmfA1UCw=';
const OTHER = 'b3RoZXI=';

describe('a products file', () => {
  it('maps product ids to access keys', () => {
    expect([...parseProducts(JSON.stringify({ 123123: KEY, abc: OTHER }))]).toEqual([
      ['123123', KEY],
      ['abc', OTHER],
    ]);
  });

  it.each([
    ['', 'is not a JSON object'],
    ['{"123":"S0VZ"', 'is not a JSON object'],
    ['null', 'is not a JSON object'],
    ['["S0VZ"]', 'is not a JSON object'],
    ['{}', 'names no product'],
    ['{"a b":"S0VZ"}', 'has a product id that is not letters and digits'],
    ['{"":"S0VZ"}', 'has a product id that is not letters and digits'],
    ['{"__proto__":"S0VZ"}', 'has a product id that is not letters and digits'],
    ['{"123":"S0VZ?"}', 'has an access key that is not base64'],
    ['{"123":""}', 'has an access key that is not base64'],
    ['{"123":null}', 'has an access key that is not base64'],
    ['{"123":{"key":"S0VZ"}}', 'has an access key that is not base64'],
  ])('that contains %s is refused without being quoted', (text, message) => {
    expect(() => parseProducts(text)).toThrow(expect.objectContaining({ message }));
  });

  it('that does not exist is refused', () => {
    expect(() => readProducts(join(startDirectory(), 'none'))).toThrow('cannot be read');
  });
});

describe.concurrent('a watched products file', { timeout: 20_000 }, () => {
  function start(path: string, atEnd: Until) {
    const changes: Products[] = [];
    const faults: string[] = [];
    atEnd(
      watchProducts(
        path,
        readProducts(path),
        (products) => changes.push(products),
        (fault) => faults.push(fault),
      ),
    );
    return { changes, faults };
  }

  function startFile(atEnd: Until): string {
    const path = join(startDirectory(atEnd), 'products.json');
    writeFileSync(path, JSON.stringify({ 1: KEY }));
    return path;
  }

  const CHANGED = JSON.stringify({ 1: OTHER, 2: KEY });

  it.for([
    { how: 'overwritten', change: (path: string) => writeFileSync(path, CHANGED) },
    {
      how: 'replaced by a file with the same times',
      change: (path: string) => {
        writeFileSync(`${path}.new`, CHANGED);
        utimesSync(`${path}.new`, 1, 1);
        renameSync(`${path}.new`, path);
      },
    },
  ])('is used when it is $how', async ({ change }, { expect, onTestFinished }) => {
    const path = startFile(onTestFinished);
    utimesSync(path, 1, 1);
    const { changes, faults } = start(path, onTestFinished);
    change(path);
    await until(() => changes.length > 0);
    expect(changes.map((products) => [...products])).toEqual([
      [
        ['1', OTHER],
        ['2', KEY],
      ],
    ]);
    expect(faults).toEqual([]);
  });

  it('is used when the symbolic link of a mounted secret is swapped', async ({ expect, onTestFinished }) => {
    const directory = startDirectory(onTestFinished);
    const version = (name: string, text: string): void => {
      mkdirSync(join(directory, name));
      writeFileSync(join(directory, name, 'products.json'), text);
      symlinkSync(name, join(directory, '..data_tmp'));
      renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
    };
    version('..2026_1', JSON.stringify({ 1: KEY }));
    symlinkSync(join('..data', 'products.json'), join(directory, 'products.json'));
    const { changes } = start(join(directory, 'products.json'), onTestFinished);
    version('..2026_2', CHANGED);
    rmSync(join(directory, '..2026_1'), { recursive: true });
    await until(() => changes.length > 0);
    expect(changes[0]?.get('2')).toBe(KEY);
  });

  it.for([
    {
      how: 'truncated',
      spoil: (path: string) => writeFileSync(path, '{"1":'),
      fault: 'is not a JSON object',
    },
    { how: 'deleted', spoil: (path: string) => rmSync(path), fault: 'cannot be read' },
    {
      how: 'a directory',
      spoil: (path: string) => {
        rmSync(path);
        mkdirSync(path);
      },
      fault: 'cannot be read',
    },
    { how: 'empty', spoil: (path: string) => writeFileSync(path, '{}'), fault: 'names no product' },
  ])(
    'stays in use while it is $how, with one log line, and is read again when it is valid',
    async (row, { expect, onTestFinished }) => {
      const path = startFile(onTestFinished);
      const { changes, faults } = start(path, onTestFinished);
      row.spoil(path);
      await until(() => faults.length > 0);
      rmSync(path, { recursive: true, force: true });
      writeFileSync(path, CHANGED);
      await until(() => changes.length > 0);
      expect(faults[0]).toBe(row.fault);
      expect(faults.length).toBeLessThanOrEqual(2);
    },
  );
});
