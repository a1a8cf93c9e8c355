import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';

import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

/** These wait most of the time, and measure Redis and quotas by milliseconds, which busy neighbours add to. */
const WAITING = ['test/sharing/{quota,redis}*.test.ts'];

/** These measure memory, the lag of an event loop, and several services that one machine runs. */
const BUSY = [
  'test/bounds/readers-memory.test.ts',
  'test/demo/replicas.test.ts',
  'test/http/load-shedding.test.ts',
];

/** No file changes what another imports, and importing it for each anew takes a fifth of the CPU time. */
const SHARED = { pool: 'threads', isolate: false } as const;

function project(test: TestProjectInlineConfiguration['test']): TestProjectInlineConfiguration {
  return {
    // As Node resolves it: Vite's choice would be a second copy beside the one that the libraries use.
    resolve: {
      alias: [{ find: /^graphql$/, replacement: createRequire(import.meta.url).resolve('graphql') }],
    },
    test: {
      // Long enough to start a process beside several others; what has to be fast is measured where it is tested.
      testTimeout: 20_000,
      hookTimeout: 30_000,
      expect: { poll: { timeout: 5000 } },
      // Concurrent tests wait most of the time.
      maxConcurrency: 20,
      ...test,
    },
  };
}

export default defineConfig({
  test: {
    // Whole-process tests run what `npm start` runs. In the projects, it would be built once for each of them.
    globalSetup: 'test/build.ts',
    projects: [
      project({
        name: 'together',
        include: ['test/**/*.test.ts'],
        exclude: [...WAITING, ...BUSY],
        // Most files wait most of the time: for other processes, deadlines and timers.
        maxWorkers: 3 * availableParallelism(),
        ...SHARED,
        // Beside other files the service may shed a request, or a deadline pass, that would not on a machine of its own.
        retry: 1,
      }),
      // Once more where the machine itself was busy at that moment.
      project({
        name: 'waiting',
        include: WAITING,
        maxWorkers: 6,
        ...SHARED,
        retry: 2,
        sequence: { groupOrder: 1 },
      }),
      project({ name: 'busy', include: BUSY, maxWorkers: 3, retry: 2, sequence: { groupOrder: 2 } }),
    ],
  },
});
