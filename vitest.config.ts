import { defineConfig } from 'vitest/config';
import type { TestProjectInlineConfiguration } from 'vitest/config';

/**
 * A tier of tests. Names are those of `docs/develop/testing.md`, which says what belongs where and which command runs it.
 */
function tier(
  name: string,
  include: readonly string[],
  { exclude = [], execArgv = [] }: { exclude?: readonly string[]; execArgv?: readonly string[] } = {},
): TestProjectInlineConfiguration {
  return {
    test: {
      name,
      include: [...include],
      exclude: [...exclude],
      execArgv: [...execArgv],
      globalSetup: ['test/helpers/global-setup.ts'],
      // A bound on hanging, not a measure of speed: there are real processes, and few cores.
      testTimeout: 120_000,
      hookTimeout: 120_000,
    },
  };
}

const CONTRACTS = ['test/**/contract.test.ts', 'test/worker/engines/**/*.test.ts'];
const SIMULATION = ['test/simulation/**/*.test.ts'];
const E2E = ['test/e2e/**/*.test.ts'];
const TOOLS = ['test/tools/**/*.test.ts'];

export default defineConfig({
  test: {
    // vitest's own choice is cores minus one, which leaves half of two cores idle.
    maxWorkers: 2,
    projects: [
      tier('unit', ['test/**/*.test.ts'], { exclude: [...CONTRACTS, ...SIMULATION, ...E2E, ...TOOLS] }),
      tier('contracts', CONTRACTS),
      // Each schedule creates new closures, which V8 would optimise again each time. The options save a third of the time.
      tier('simulation', SIMULATION, { execArgv: ['--always-sparkplug', '--interrupt-budget=600000'] }),
      tier('e2e', E2E),
      tier('tools', TOOLS),
    ],
  },
});
