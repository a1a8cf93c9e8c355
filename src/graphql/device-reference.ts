import { isDeviceId } from '../ota-task.ts';

/** A device as the router refers to it: its id and, in a deployment with several products, its product. */
export interface DeviceReference {
  readonly id: string;
  /** Undefined if the deployment has only one product; null if this device's product is unknown. */
  readonly productId: string | null | undefined;
}

/** A representation together with the reference that was read from it. */
export interface DeviceModel {
  /** For graphql-js, which has to know which entity it is. */
  readonly __typename: 'Device';
  readonly id: string;
  readonly reference: DeviceReference;
  readonly representation: Readonly<Record<string, unknown>>;
}

/** Reads the device that a representation refers to. `_Any` accepts any JSON, so every part of it is checked. */
export type ReadReference = (representation: unknown) => DeviceReference | undefined;

/**
 * Made for each request, within which a product stays known, or not, as it was at first.
 *
 * @param productField The field of a device that tells its product; undefined where there is only one product.
 * @param isProduct Whether there are credentials for a product, at the moment.
 */
export function createReferenceReader(
  productField: string | undefined,
  isProduct: (productId: string) => boolean,
): ReadReference {
  const known = new Map<string, boolean>();

  function isKnown(productId: string): boolean {
    let is = known.get(productId);
    if (is === undefined) known.set(productId, (is = isProduct(productId)));
    return is;
  }

  return (representation) => {
    if (typeof representation !== 'object' || representation === null) return undefined;
    const fields = representation as Readonly<Record<string, unknown>>;
    const { __typename, id } = fields;
    if (__typename !== 'Device' || !isDeviceId(id)) return undefined;
    if (productField === undefined) return { id, productId: undefined };
    const product = Object.hasOwn(fields, productField) ? fields[productField] : undefined;
    return { id, productId: typeof product === 'string' && isKnown(product) ? product : null };
  };
}

/**
 * Identifies a device within a request. The id is unique because neither a device id nor a product id contains a space.
 */
export function referenceId({ id, productId }: DeviceReference): string {
  return productId === undefined ? id : `${productId ?? ''} ${id}`;
}
