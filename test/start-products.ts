import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { onTestFinished } from 'vitest';

import { createAuthorizationCheck } from '../src/simulator/authorization-check.ts';
import type { Fault, RecordedCall, SimulatorOptions } from '../src/simulator/simulator.ts';
import { type Environment, type Service, startBoth, type Until } from './service.ts';

/** Access keys by product id. */
export const PRODUCTS = {
  p1: 'KuF3NT/jUBJ62LNBB/A8XZA9CqS3Cu79B/ABmfA1UCw=',
  p2: 'c2VjcmV0IG9mIHRoZSBzZWNvbmQgcHJvZHVjdA==',
};

/** A directory for as long as the test that calls this, unless told otherwise. */
export function startDirectory(until: Until = onTestFinished): string {
  const directory = mkdtempSync(join(tmpdir(), 'products-'));
  until(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A products file; gives its path. */
export function startProductsFile(
  products: Readonly<Record<string, string>> = PRODUCTS,
  until: Until = onTestFinished,
): string {
  const path = join(startDirectory(until), 'products.json');
  writeFileSync(path, JSON.stringify(products));
  return path;
}

/** In place of the credentials that services are started with otherwise. */
export function productsEnvironment(path: string): Environment {
  return { ONENET_PRODUCT_ID: undefined, ONENET_ACCESS_KEY: undefined, ONENET_PRODUCTS_FILE: path };
}

/** The product that a call is signed for. */
export function productOf({ headers }: RecordedCall): string | undefined {
  return /res=products%2F(\w+)/.exec(headers.authorization ?? '')?.[1];
}

/** Has every device a task whose target is the product that the call is signed for, unless OneNET refuses the token. */
export function answerByProduct(products: Readonly<Record<string, string>>) {
  const whyRefused = createAuthorizationCheck({ products });
  return (call: RecordedCall): Fault | undefined => {
    if (whyRefused(call.headers.authorization, Date.now()) !== undefined) return undefined;
    const data = { target: productOf(call), token: `ota_${call.deviceId}`, size: 1, md5: 'm', type: 1 };
    return { kind: 'body', body: JSON.stringify({ errno: 0, error: 'succ', data }) };
  };
}

/** The service for several products, in front of a OneNET that knows them. */
export function startProductsService(
  {
    path,
    products = PRODUCTS,
    ...options
  }: SimulatorOptions & { readonly path?: string; readonly products?: Readonly<Record<string, string>> } = {},
  environment: Environment = {},
  until: Until = onTestFinished,
): Promise<Service & Awaited<ReturnType<typeof startBoth>>> {
  return startBoth(
    { credentials: { products }, fault: answerByProduct(products), ...options },
    { ...productsEnvironment(path ?? startProductsFile(PRODUCTS, until)), ...environment },
    until,
  );
}

export function deviceOf(id: string, productId?: unknown): object {
  return { __typename: 'Device', id, ...(productId === undefined ? {} : { productId }) };
}
