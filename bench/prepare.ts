import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';

import { ROOT } from './peers.ts';

const LOCK = 'bench/package-lock.json';
/** Written by npm at the end of each installation. */
const INSTALLED = 'bench/node_modules/.package-lock.json';

/** Installs the peers where they are missing or outdated, and builds ours and theirs. */
export function prepare(): void {
  if (changedMs(INSTALLED) < changedMs(LOCK)) {
    run('npm', '--prefix', 'bench', 'ci', '--no-audit', '--no-fund', '--loglevel=error');
  }
  run('npm', 'run', '--silent', 'build');
  run('node_modules/.bin/tsc', '-p', 'bench/servers');
}

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { cwd: ROOT, stdio: 'inherit' });
}

function changedMs(file: string): number {
  return statSync(`${ROOT}/${file}`, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
