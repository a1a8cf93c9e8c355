import { createHash } from 'node:crypto';

/** A Lua script that is cached by Redis and called by its hash. */
export interface Script {
  readonly source: string;
  readonly sha: string;
}

export function createScript(source: string): Script {
  return { source, sha: createHash('sha1').update(source).digest('hex') };
}
