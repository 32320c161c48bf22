/**
 * What may import what. `npm run lint` checks it, type-only imports included.
 *
 * The floors: scripts -> coordinator and worker -> protocol. The two sides meet in protocol/ only.
 */
const CODE = '^(protocol|coordinator|worker|scripts)/';

/** Forbids imports from files that match `from` to files that match `to`. */
const forbid = (name, comment, from, to) => ({
  name,
  comment,
  severity: 'error',
  from: { path: from },
  to: { path: to },
});

export default {
  forbidden: [
    {
      name: 'no-circle',
      comment: 'Files that import each other cannot be read one after the other.',
      severity: 'error',
      from: { path: CODE },
      to: { circular: true },
    },
    forbid(
      'protocol-is-the-ground-floor',
      'protocol/ knows neither side.',
      '^protocol/',
      '^(coordinator|worker|scripts|test)/',
    ),
    forbid(
      'coordinator-knows-no-worker',
      'The two sides meet in protocol/ only.',
      '^coordinator/',
      '^(worker|scripts|test)/',
    ),
    forbid(
      'worker-knows-no-coordinator',
      'The two sides meet in protocol/ only.',
      '^worker/',
      '^(coordinator|scripts|test)/',
    ),
    forbid('code-knows-no-test', 'Tests import the program, never the reverse.', CODE, '^test/'),
    {
      name: 'bench-is-not-the-program',
      comment: 'Benchmarks import the program, never the reverse: they are not in the package.',
      severity: 'error',
      from: { path: CODE, pathNot: '^scripts/(bench|develop)/' },
      to: { path: '^scripts/(bench|develop)/' },
    },
    forbid('library-knows-no-command', 'Commands go through the library.', '^scripts/library/', '^scripts/commands/'),
    {
      name: 'commands-go-through-the-library',
      comment: 'What a command does, a program can do: there is no second path to a run.',
      severity: 'error',
      from: { path: '^scripts/commands/' },
      to: { path: '^(coordinator|worker)/main\\.ts$' },
    },
    forbid('vectors-below-state', 'Arithmetic lies below state.', '^protocol/vectors/', '^protocol/(state|wire)/'),
    forbid('data-below-state', 'Samples know nothing of models.', '^protocol/data/', '^protocol/(state|wire)/'),
    forbid('state-below-wire', 'State knows nothing of messages.', '^protocol/state/', '^protocol/wire/'),
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|node_modules)/' },
  },
};
