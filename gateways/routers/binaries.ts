import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import process from 'node:process';

/** A router that is no npm package; somebody has to build or download it. */
export interface Binary {
  readonly name: string;
  /** Names the file, whatever it is called. */
  readonly variable: string;
  /** What it is called on the PATH and in the cache directory. */
  readonly file: string;
}

/** Where `build-routers.sh` puts them. */
const CACHE = join(
  process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'),
  'onenet-ota-subgraph',
  'routers',
  'bin',
);

/** Finds the program: where its variable says, on the PATH, in the cache directory; undefined where it is nowhere. */
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
