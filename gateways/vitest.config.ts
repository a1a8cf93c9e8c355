import { fileURLToPath } from 'node:url';

import { defineConfig } from 'vitest/config';

export default defineConfig({
  // The configuration for Hive Gateway is not in this package.
  resolve: {
    alias: {
      '@graphql-hive/gateway': fileURLToPath(new URL('node_modules/@graphql-hive/gateway', import.meta.url)),
    },
  },
  test: {
    include: [process.env.ROUTERS ? 'routers/*.test.ts' : '*.test.ts'],
    // Two gateways at once are enough for a small machine.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
