import { defineConfig } from 'vitest/config';
import type { TestProjectInlineConfiguration } from 'vitest/config';

interface TierOptions {
  readonly exclude?: readonly string[];
  /** Whether each file has modules of its own. Default: true. Without, a process loads each module once for many files. */
  readonly isolate?: boolean;
  readonly execArgv?: readonly string[];
}

/** A tier of tests: `docs/develop/testing.md` says what belongs where, and which command runs it. */
function tier(name: string, include: readonly string[], options: TierOptions = {}): TestProjectInlineConfiguration {
  const { exclude = [], isolate = true, execArgv = [] } = options;
  return {
    test: {
      name,
      include: [...include],
      exclude: [...exclude],
      isolate,
      execArgv: [...execArgv],
      setupFiles: ['test/helpers/keep-channel.ts'],
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
/** Pages in a real browser, which npm cannot install. */
const BROWSER = ['test/browser/**/*.test.ts'];
const TOOLS = ['test/tools/**/*.test.ts'];
/** Several machines: real launchers and schedulers, which npm cannot install. */
const CLUSTERS = ['test/clusters/**/*.test.ts'];
/** The package, installed by npm and pnpm from their registry. */
const INSTALL = ['test/install/**/*.test.ts'];
/** On a GPU, or on one in software, which npm cannot install. */
const GPU = ['test/worker/engines/onnx/webgpu.test.ts'];
/** Unit tests that replace modules: others must not see that. */
const MOCKING = ['test/coordinator/run-directory/crash.test.ts'];

export default defineConfig({
  test: {
    // vitest's own choice is cores minus one, which leaves half of two cores idle.
    maxWorkers: 2,
    projects: [
      tier('unit', ['test/**/*.test.ts'], {
        exclude: [...CONTRACTS, ...SIMULATION, ...E2E, ...BROWSER, ...TOOLS, ...CLUSTERS, ...INSTALL, ...MOCKING],
        isolate: false,
      }),
      tier('unit, isolated', MOCKING),
      tier('contracts', CONTRACTS, { exclude: GPU }),
      // Each schedule creates new closures, which V8 would optimise again each time. The options save a third of the time.
      tier('simulation', SIMULATION, { execArgv: ['--always-sparkplug', '--interrupt-budget=600000'] }),
      tier('e2e', E2E),
      tier('browser', BROWSER),
      tier('tools', TOOLS),
      tier('clusters', CLUSTERS),
      tier('install', INSTALL),
      tier('gpu', GPU),
    ],
  },
});
