import { readFileSync } from 'node:fs';

const EVERY_MS = 1000;
const PRODUCT_ID = /^[A-Za-z0-9]+$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)$/;

/** Access keys in base64 by product id. */
export type Products = Map<string, string>;

/** What is wrong with a products file. The message never quotes the file, which contains keys. */
export class ProductsFileError extends Error {
  override readonly name = 'ProductsFileError';
}

/** @throws ProductsFileError unless the text is a JSON object that maps at least one product id to its access key. */
export function parseProducts(text: string): Products {
  const entries = Object.entries(parseObject(text));
  if (entries.length === 0) throw new ProductsFileError('names no product');
  for (const [id, key] of entries) {
    if (!PRODUCT_ID.test(id)) throw new ProductsFileError('has a product id that is not letters and digits');
    if (typeof key !== 'string' || !BASE64.test(key)) {
      throw new ProductsFileError('has an access key that is not base64');
    }
  }
  return new Map(entries as [string, string][]);
}

function parseObject(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // The parser's message quotes the text.
  }
  throw new ProductsFileError('is not a JSON object');
}

/** @throws ProductsFileError if the file cannot be read or is invalid. */
export function readProducts(path: string): Products {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    throw new ProductsFileError('cannot be read');
  }
  return parseProducts(text);
}

/**
 * Watches a products file by reading it every second. Unlike file system events or modification times, this also
 * notices a swapped symbolic link, a volume without events and a copy that preserves times.
 *
 * @param products The products that were read at the start.
 * @param onChange Called with the new products when the file has changed and is valid.
 * @param onFault Called once for each fault of the file; the products read last stay in use.
 * @returns Stops watching.
 */
export function watchProducts(
  path: string,
  products: Products,
  onChange: (products: Products) => void,
  onFault: (fault: string) => void,
): () => void {
  let current = JSON.stringify([...products]);
  let fault: string | undefined;
  const timer = setInterval(() => {
    try {
      const found = readProducts(path);
      fault = undefined;
      const said = JSON.stringify([...found]);
      if (said !== current) onChange(found);
      current = said;
    } catch (error) {
      const { message } = error as ProductsFileError;
      if (message !== fault) onFault(message);
      fault = message;
    }
  }, EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}
