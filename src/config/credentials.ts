import type { SignMethod } from '../onenet/authorization.ts';
import { type Products, type ProductsFileError, readProducts } from './products-file.ts';

/** A static token, or the keys to mint tokens for one product or several. */
export type Credentials =
  | { readonly token: string }
  | ({ readonly productId: string; readonly accessKey: string } & Minting)
  | ({ readonly products: Products; readonly productsFile: string } & Minting);

interface Minting {
  readonly method: SignMethod;
  readonly ttlSeconds: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Checks which credentials are set together, whether or not each is well-formed, and reads the products file if there
 * is one.
 */
export function examineCredentials(env: Environment): {
  readonly faults: readonly string[];
  readonly products?: Products;
} {
  const fault = faultOf((name) => env[name] !== undefined);
  const productsFile = env['ONENET_PRODUCTS_FILE'];
  if (fault !== undefined || !productsFile) return { faults: fault === undefined ? [] : [fault] };
  try {
    return { faults: [], products: readProducts(productsFile) };
  } catch (error) {
    return { faults: [`ONENET_PRODUCTS_FILE ${(error as ProductsFileError).message}`] };
  }
}

/** @param variables Variables that passed validation. */
export function credentialsOf(
  variables: {
    readonly ONENET_AUTHORIZATION: string | undefined;
    readonly ONENET_PRODUCT_ID: string | undefined;
    readonly ONENET_ACCESS_KEY: string | undefined;
    readonly ONENET_PRODUCTS_FILE: string | undefined;
    readonly ONENET_SIGN_METHOD: SignMethod;
    readonly ONENET_TOKEN_TTL_SECONDS: number;
  },
  products: Products | undefined,
): Credentials {
  if (variables.ONENET_AUTHORIZATION !== undefined) return { token: variables.ONENET_AUTHORIZATION };
  const minting = { method: variables.ONENET_SIGN_METHOD, ttlSeconds: variables.ONENET_TOKEN_TTL_SECONDS };
  if (products !== undefined) {
    return { products, productsFile: variables.ONENET_PRODUCTS_FILE as string, ...minting };
  }
  return {
    productId: variables.ONENET_PRODUCT_ID as string,
    accessKey: variables.ONENET_ACCESS_KEY as string,
    ...minting,
  };
}

function faultOf(has: (name: string) => boolean): string | undefined {
  const id = has('ONENET_PRODUCT_ID');
  const key = has('ONENET_ACCESS_KEY');
  const token = has('ONENET_AUTHORIZATION');
  if (has('ONENET_PRODUCTS_FILE')) {
    return id || key || token
      ? 'ONENET_PRODUCTS_FILE must not be set beside ONENET_AUTHORIZATION, ONENET_PRODUCT_ID and ONENET_ACCESS_KEY'
      : undefined;
  }
  if (token && (id || key)) {
    return 'ONENET_AUTHORIZATION must not be set beside ONENET_PRODUCT_ID and ONENET_ACCESS_KEY';
  }
  if (token || (id && key)) return undefined;
  if (id) return 'ONENET_ACCESS_KEY must be set beside ONENET_PRODUCT_ID';
  if (key) return 'ONENET_PRODUCT_ID must be set beside ONENET_ACCESS_KEY';
  return 'ONENET_AUTHORIZATION must be set, or ONENET_PRODUCT_ID and ONENET_ACCESS_KEY, or ONENET_PRODUCTS_FILE';
}
