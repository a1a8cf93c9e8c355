import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  randomBytes,
} from 'node:crypto';
import type { KeyObject } from 'node:crypto';

import type { OtaTaskRequest } from '../ota-task.ts';

/** Part of every derivation: what another version has written is not even found. */
const FORMAT = 'onenet-ota-subgraph cache 1';

const CIPHER = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;
/** 128 bits and a little, in base64. */
const NAME_LENGTH = 22;

/** Makes names and values that tell nothing, and take no change, without the secret. */
export interface Seal {
  /** A name for a pair. */
  nameOf(pair: string): string;
  /** @param header Stands before what is sealed, to be read by anybody. */
  seal(name: string, header: Buffer, text: string): Buffer;
  /** @returns Nothing where a single bit, of the name or the header too, is not as it was sealed. */
  open(name: string, headerBytes: number, sealed: Buffer): string | undefined;
}

/**
 * Seals with AES-256-GCM and names by HMAC-SHA-256, under keys that are derived by HKDF.
 *
 * @param secret The credentials: whoever has others finds and reads nothing.
 */
export function createSeal(secret: string): Seal {
  const keyFor = (purpose: string): KeyObject =>
    createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', `${FORMAT} ${purpose}`, 32)));
  const nameKey = keyFor('names');
  const valueKey = keyFor('values');

  return {
    nameOf: (pair) => createHmac('sha256', nameKey).update(pair).digest('base64url').slice(0, NAME_LENGTH),
    seal(name, header, text) {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv(CIPHER, valueKey, iv).setAAD(bound(name, header));
      const sealed = cipher.update(text);
      cipher.final();
      return Buffer.concat([header, iv, cipher.getAuthTag(), sealed]);
    },
    open(name, headerBytes, sealed) {
      const ivEnd = headerBytes + IV_BYTES;
      const tagEnd = ivEnd + TAG_BYTES;
      if (sealed.length < tagEnd) return undefined;
      const decipher = createDecipheriv(CIPHER, valueKey, sealed.subarray(headerBytes, ivEnd))
        .setAAD(bound(name, sealed.subarray(0, headerBytes)))
        .setAuthTag(sealed.subarray(ivEnd, tagEnd));
      const text = decipher.update(sealed.subarray(tagEnd));
      try {
        decipher.final();
      } catch {
        return undefined;
      }
      return text.toString();
    },
  };
}

/** What a value is bound to: moved to another name, or given another header, it does not open. */
function bound(name: string, header: Buffer): Buffer {
  return Buffer.from(name + header.toString('latin1'), 'latin1');
}

/**
 * Gives each request the seal of its credentials.
 *
 * @param secretFor May give another secret at any time.
 */
export function createSealOf(
  secretFor: (request: OtaTaskRequest) => string,
): (request: OtaTaskRequest) => Seal {
  const seals = new Map<string, Seal>();
  return (request) => {
    const secret = secretFor(request);
    let seal = seals.get(secret);
    if (seal === undefined) seals.set(secret, (seal = createSeal(secret)));
    return seal;
  };
}
