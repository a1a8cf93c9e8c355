import { it } from 'vitest';

import { MISSING } from './routers.ts';

/** Says in a file's report which routers are not tested here, and why. */
export function reportMissing(): void {
  it.skip.each(MISSING)('$kind: $reason', () => undefined);
}
