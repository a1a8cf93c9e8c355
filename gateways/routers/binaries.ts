import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import process from 'node:process';

/** A router that is a program of its own, in no npm package. */
export interface Binary {
  /** The environment variable that holds its path. */
  readonly variable: string;
  /** What it is called on the PATH and in the cache directory. */
  readonly file: string;
}

/** Where `build-routers.sh` puts what it builds. */
const CACHE = join(
  process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'),
  'onenet-ota-subgraph/routers/bin',
);

/** Finds the program: where its variable says, else on the PATH, else in the cache directory; undefined if nowhere. */
export function findBinary({ variable, file }: Binary): string | undefined {
  const named = process.env[variable];
  if (named !== undefined) return named;
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), CACHE];
  return folders.map((folder) => join(folder, file)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
