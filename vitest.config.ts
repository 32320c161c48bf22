import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/helpers/global-setup.ts'],
    // vitest's own choice is cores minus one, which leaves half of two cores idle.
    maxWorkers: 2,
    // Real processes on few cores: a bound on hanging, not a measure of speed.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
