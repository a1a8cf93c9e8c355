import { readFileSync } from 'node:fs';

const EVERY_MS = 1000;
const PRODUCT_ID = /^[A-Za-z0-9]+$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)$/;

/** Access keys in base64 by product id. */
export type Products = ReadonlyMap<string, string>;

/** What is wrong with a products file, without a word of what it says. */
class ProductsFileError extends Error {
  override readonly name = 'ProductsFileError';
}

/** @throws ProductsFileError unless it is a JSON object of product ids and their access keys, with one at least. */
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

/** @throws ProductsFileError also where it cannot be read. */
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
 * Follows a products file: it is read every second, whatever the file system tells of it, so that neither a link that is
 * swapped nor a volume without events nor a copy with the old times goes unnoticed.
 *
 * @param products What it said at first.
 * @param onChange Told what it says now, where that is sound and something else.
 * @param onFault Told once, why what it was goes on to count.
 * @returns Ends it.
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
