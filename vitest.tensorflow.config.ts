/** Tests that need a TensorFlow: run by `npm run test:tensorflow`, which builds the binding to it first. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/tensorflow/*.ts'],
    globalSetup: ['test/helpers/global-setup.ts'],
    maxWorkers: 2,
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
