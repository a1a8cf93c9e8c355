import { execFileSync } from 'node:child_process';

import type { TestProject } from 'vitest/node';

/** Builds before the tests and, in watch mode, before each rerun. */
export default function setup(project: TestProject): void {
  build();
  project.onTestsRerun(build);
}

function build(): void {
  execFileSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit' });
}
