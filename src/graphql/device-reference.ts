import { isDeviceId } from '../ota-task.ts';

/** A device as another subgraph knows it: all that we need of it is its id and, where there are several, its product. */
export interface DeviceReference {
  readonly id: string;
  /** Undefined where there is only one product; null where this device's is not known. */
  readonly productId: string | null | undefined;
}

/** A representation, and what was read from it. */
export interface DeviceModel {
  /** For graphql-js, which has to know which entity it is. */
  readonly __typename: 'Device';
  readonly id: string;
  readonly reference: DeviceReference;
  readonly representation: Readonly<Record<string, unknown>>;
}

/** Reads the device that a representation refers to; `_Any` lets any JSON through, so nothing is taken on trust. */
export type ReadReference = (representation: unknown) => DeviceReference | undefined;

/**
 * @param productField The field of a device that tells its product; undefined where there is only one product.
 * @param isProduct Whether there are credentials for a product, at the moment.
 */
export function createReferenceReader(
  productField: string | undefined,
  isProduct: (productId: string) => boolean,
): ReadReference {
  return (representation) => {
    if (typeof representation !== 'object' || representation === null) return undefined;
    const fields = representation as Readonly<Record<string, unknown>>;
    const { __typename, id } = fields;
    if (__typename !== 'Device' || !isDeviceId(id)) return undefined;
    if (productField === undefined) return { id, productId: undefined };
    const product = Object.hasOwn(fields, productField) ? fields[productField] : undefined;
    return { id, productId: typeof product === 'string' && isProduct(product) ? product : null };
  };
}

/** Equal for equal devices and for no others: no id holds a space. */
export function referenceId({ id, productId }: DeviceReference): string {
  return productId === undefined ? id : `${productId ?? ''} ${id}`;
}
