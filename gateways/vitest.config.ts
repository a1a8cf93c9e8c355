import { fileURLToPath } from 'node:url';

import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

function project(name: string, include: string, retry = 0): TestProjectInlineConfiguration {
  return {
    // The configuration for Hive Gateway is not in this package.
    resolve: {
      alias: {
        '@graphql-hive/gateway': fileURLToPath(
          new URL('node_modules/@graphql-hive/gateway', import.meta.url),
        ),
      },
    },
    test: { name, include: [include], testTimeout: 30_000, hookTimeout: 60_000, retry },
  };
}

export default defineConfig({
  test: {
    // Two gateways at once are enough for a small machine.
    maxWorkers: 2,
    // Once more, as the service sheds requests where the machine is busy.
    projects: [project('gateways', '*.test.ts'), project('routers', 'routers/*.test.ts', 1)],
  },
});
