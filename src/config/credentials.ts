import type { SignMethod } from '../onenet/authorization.ts';
import { type Products, type ProductsFileError, readProducts } from './products-file.ts';

/** A static token, or what it takes to mint tokens for one product or for several. */
export type Credentials =
  | { readonly token: string }
  | ({ readonly productId: string; readonly accessKey: string } & Minting)
  | ({ readonly products: Products; readonly productsFile: string } & Minting);

interface Minting {
  readonly method: SignMethod;
  readonly ttlSeconds: number;
}

/** The variables that credentials are made of. */
interface CredentialVariables {
  readonly ONENET_AUTHORIZATION: string | undefined;
  readonly ONENET_PRODUCT_ID: string | undefined;
  readonly ONENET_ACCESS_KEY: string | undefined;
  readonly ONENET_PRODUCTS_FILE: string | undefined;
  readonly ONENET_SIGN_METHOD: SignMethod;
  readonly ONENET_TOKEN_TTL_SECONDS: number;
}

/**
 * Reads the credentials.
 *
 * @param env Tells which are there at all, whether or not they are well-formed.
 */
export function readCredentials(
  env: Readonly<Record<string, string | undefined>>,
  variables: CredentialVariables,
): { readonly credentials?: Credentials; readonly faults: readonly string[] } {
  const fault = faultOf((name) => env[name] !== undefined);
  if (fault !== undefined) return { faults: [fault] };
  const minting = { method: variables.ONENET_SIGN_METHOD, ttlSeconds: variables.ONENET_TOKEN_TTL_SECONDS };
  const { ONENET_AUTHORIZATION: token, ONENET_PRODUCTS_FILE: productsFile } = variables;
  if (productsFile !== undefined) {
    try {
      return { credentials: { products: readProducts(productsFile), productsFile, ...minting }, faults: [] };
    } catch (error) {
      return { faults: [`ONENET_PRODUCTS_FILE ${(error as ProductsFileError).message}`] };
    }
  }
  if (token !== undefined) return { credentials: { token }, faults: [] };
  const productId = variables.ONENET_PRODUCT_ID as string;
  const accessKey = variables.ONENET_ACCESS_KEY as string;
  return { credentials: { productId, accessKey, ...minting }, faults: [] };
}

function faultOf(has: (name: keyof CredentialVariables) => boolean): string | undefined {
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
