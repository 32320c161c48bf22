/**
 * How much is tried. `npm test` tries a little of each property that has no end of cases, `npm run test:soak` much more of
 * the same.
 */
const isSoak = process.env['GRADSOCK_TEST_TIER'] === 'soak';

/** `few` in `npm test`, `many` in `npm run test:soak`. An environment variable with a number overrides both. */
export function countOfCases(few: number, many: number, variable?: string): number {
  const given = variable === undefined ? undefined : process.env[variable];
  return given === undefined ? (isSoak ? many : few) : Number(given);
}

/** Of cases that are other ones at each run, unless the variable with a seed repeats a run. */
export function freshSeed(variable: string): number {
  return Number(process.env[variable] ?? Date.now() % 2 ** 31);
}
