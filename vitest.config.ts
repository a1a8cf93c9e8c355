import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Whole-process tests run what `npm start` runs.
    globalSetup: 'test/build.ts',
  },
});
