import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // vitest's own choice is cores minus one, which leaves half of two cores idle.
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: 'tests',
          include: ['test/**/*.test.ts'],
          exclude: ['test/simulation/**'],
          globalSetup: ['test/helpers/global-setup.ts'],
          // Real processes on few cores: a bound on hanging, not a measure of speed.
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'simulation',
          include: ['test/simulation/*.test.ts'],
          testTimeout: 120_000,
          // Each schedule creates new closures, which V8 would optimise again each time. These options save a third of the time.
          execArgv: ['--always-sparkplug', '--interrupt-budget=600000'],
        },
      },
    ],
  },
});
