import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/helpers/global-setup.ts'],
    // Real processes on few cores: a bound on hanging, not a measure of speed.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
