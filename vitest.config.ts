import { createRequire } from 'node:module';

import { defineConfig } from 'vitest/config';

export default defineConfig({
  // As Node resolves it: Vite's choice would be a second copy beside the one that the libraries use.
  resolve: { alias: [{ find: /^graphql$/, replacement: createRequire(import.meta.url).resolve('graphql') }] },
  test: {
    include: ['test/**/*.test.ts'],
    // Whole-process tests run what `npm start` runs.
    globalSetup: 'test/build.ts',
  },
});
