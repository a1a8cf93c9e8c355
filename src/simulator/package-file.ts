import { createHash } from 'node:crypto';

const SMALLEST_BYTES = 2 * 1024;
const MOST_DIGESTS = 10_000;

/** Upgrade packages as a pure function of their token: nothing is stored, and every start serves the same bytes. */
export interface PackageFiles {
  /** Bytes. */
  size(token: string): number;
  /** 32 lower-case hex digits. */
  md5(token: string): string;
  bytes(token: string): Buffer;
}

/** @param options.largestBytes Packages have between 2 KiB and this many bytes. */
export function createPackageFiles({ largestBytes }: { readonly largestBytes: number }): PackageFiles {
  const digests = new Map<string, string>();

  function size(token: string): number {
    const spread = createHash('sha256').update(token).digest().readUInt32BE();
    return SMALLEST_BYTES + (spread % (largestBytes - SMALLEST_BYTES + 1));
  }

  // An extendable-output hash gives any length in one step. Unlike a repeated block, it contains no two equal
  // stretches, so a range served from the wrong offset is noticed.
  function bytes(token: string): Buffer {
    return createHash('shake128', { outputLength: size(token) })
      .update(token)
      .digest();
  }

  // Cached, because every answer contains it.
  function md5(token: string): string {
    const known = digests.get(token);
    if (known !== undefined) return known;
    if (digests.size >= MOST_DIGESTS) digests.clear();
    const digest = createHash('md5').update(bytes(token)).digest('hex');
    digests.set(token, digest);
    return digest;
  }

  return { size, md5, bytes };
}
