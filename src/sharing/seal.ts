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

/** Part of every key derivation, so that entries of another format are not found at all. */
const FORMAT = 'onenet-ota-subgraph cache 1';

const CIPHER = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;
/** 132 bits in base64. */
const NAME_LENGTH = 22;

/** Creates names and values that reveal nothing and cannot be altered without the secret. */
export interface Seal {
  /** Derives the name of a pair. */
  nameOf(pair: string): string;
  /** @param header Precedes the encrypted text, authenticated but readable by anybody. */
  seal(name: string, header: Buffer, text: string): Buffer;
  /** @returns The text; undefined if a single bit of the value, its header or its name has changed. */
  open(name: string, headerBytes: number, sealed: Buffer): string | undefined;
}

/**
 * Encrypts with AES-256-GCM and derives names by HMAC-SHA-256, with keys derived by HKDF.
 *
 * @param secret The credentials: with others, entries can be neither found nor read.
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

/** Binds a value to its name and header: under another name, or with another header, it cannot be opened. */
function bound(name: string, header: Buffer): Buffer {
  return Buffer.from(name + header.toString('latin1'), 'latin1');
}

/**
 * Returns the seal for the credentials of each request.
 *
 * @param secretFor May return a different secret at any time.
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
