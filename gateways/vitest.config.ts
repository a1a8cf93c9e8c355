import { fileURLToPath } from 'node:url';

import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

function project(name: string, include: string): TestProjectInlineConfiguration {
  return {
    // The configuration for Hive Gateway is not in this package.
    resolve: {
      alias: {
        '@graphql-hive/gateway': fileURLToPath(
          new URL('node_modules/@graphql-hive/gateway', import.meta.url),
        ),
      },
    },
    test: { name, include: [include], testTimeout: 30_000, hookTimeout: 60_000 },
  };
}

export default defineConfig({
  test: {
    // Two gateways at once are enough for a small machine.
    maxWorkers: 2,
    projects: [project('gateways', '*.test.ts'), project('routers', 'routers/*.test.ts')],
  },
});
