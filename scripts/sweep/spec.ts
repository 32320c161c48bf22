/** The file that describes a sweep: what it may hold, and what is said of one that holds something else. */
import { z } from 'zod';
import { ConfigError } from '../../protocol/errors.ts';
import { readJsonFile } from '../../protocol/text-files.ts';

/** What a flag is given in the file: text or a number as on the command line; true or false where it takes no value. */
const valueSchema = z.union([z.string(), z.number(), z.boolean()], { error: 'a text, a number, true or false' });

const DISTRIBUTIONS = '{"log": [low, high]} above 0, {"linear": [low, high]}, or {"choice": [values]}';
const rangeSchema = (expected: string, lowest: number) =>
  z
    .tuple([z.number(), z.number()], { error: expected })
    .refine(([low, high]) => lowest < low && low < high, { error: expected });
const distributionSchema = z.union(
  [
    z.strictObject({ log: rangeSchema('[low, high], above 0 and low below high', 0) }),
    z.strictObject({ linear: rangeSchema('[low, high], low below high', -Infinity) }),
    z.strictObject({ choice: z.array(valueSchema).min(1) }),
  ],
  { error: DISTRIBUTIONS },
);

const countSchema = z.int({ error: 'a whole number from 1' }).min(1, { error: 'a whole number from 1' });
const seedSchema = z.int({ error: 'a whole number' });
const nonEmpty = (fields: object) => Object.keys(fields).length > 0;

const RULE = 'false, or {"afterEpochs": 10, "afterRuns": 3, "keep": "median"} with other numbers if you like';
const stopEarlySchema = z.union(
  [
    z.literal(false),
    z.strictObject({
      afterEpochs: countSchema.default(10),
      afterRuns: countSchema.default(3),
      keep: z.literal('median').default('median'),
    }),
  ],
  { error: RULE },
);

const OBJECTIVES = ['validationAccuracy', 'testAccuracy'] as const;

const specSchema = z.strictObject(
  {
    flags: z.record(z.string(), valueSchema, { error: 'flags of every run, such as {"model": "dense"}' }).default({}),
    grid: z
      .record(
        z.string(),
        z
          .array(valueSchema, { error: 'a list of values, such as [0.01, 0.03]' })
          .min(1, { error: 'one value or more' }),
        { error: 'lists of values by flag, such as {"learning-rate": [0.01, 0.03]}' },
      )
      .refine(nonEmpty, { error: 'one flag or more' })
      .optional(),
    random: z
      .strictObject(
        {
          trials: countSchema,
          seed: seedSchema.default(1),
          space: z
            .record(z.string(), distributionSchema, { error: `by flag, ${DISTRIBUTIONS}` })
            .refine(nonEmpty, { error: 'one flag or more' }),
        },
        { error: '{"trials": 40, "seed": 1, "space": {...}}' },
      )
      .optional(),
    seeds: z
      .array(seedSchema, { error: 'a list of whole numbers, such as [1, 2]' })
      .min(1, { error: 'one seed or more' })
      .refine((seeds) => new Set(seeds).size === seeds.length, { error: 'each seed once' })
      .optional(),
    parallel: countSchema.optional(),
    stopEarly: stopEarlySchema.default({ afterEpochs: 10, afterRuns: 3, keep: 'median' }),
    objective: z.enum(OBJECTIVES, { error: OBJECTIVES.map((name) => `"${name}"`).join(' or ') }).optional(),
  },
  { error: 'flags, grid or random, and perhaps seeds, parallel, stopEarly and objective' },
);

export type SweepSpec = Readonly<z.infer<typeof specSchema>>;
export type FlagValue = z.infer<typeof valueSchema>;
export type Distribution = z.infer<typeof distributionSchema>;
export type Objective = (typeof OBJECTIVES)[number];
export type StoppingRule = Exclude<SweepSpec['stopEarly'], false>;

/** Throws `ConfigError` that names everything in the file that is not as it should be. */
export function readSweepSpec(path: string): SweepSpec {
  return parseSweepSpec(path, readJsonFile(path, path, 'see `gradsock sweep --help`'));
}

/** `subject`: where the content comes from. Throws as {@link readSweepSpec} does. */
export function parseSweepSpec(subject: string, content: unknown): SweepSpec {
  const checked = specSchema.safeParse(content);
  if (!checked.success) {
    const problems = checked.error.issues.map((issue) => describeIssue(issue, content));
    throw new ConfigError(`${subject}: not a sweep:\n${problems.join('\n')}\nsee \`gradsock sweep --help\``);
  }
  const { grid, random } = checked.data;
  if ((grid === undefined) === (random === undefined)) {
    const got = grid ? 'both' : 'neither';
    throw new ConfigError(`${subject}: expected grid or random, got ${got}: ${grid ? 'leave one out' : 'add one'}`);
  }
  return checked.data;
}

/** One line: where it is, what was expected there, and what is there. */
function describeIssue(issue: z.core.$ZodIssue, content: unknown): string {
  const place = issue.path.map(String).join('.') || 'the file';
  const found = issue.path.reduce<unknown>(
    (part, key) => (part as Record<PropertyKey, unknown> | undefined)?.[key],
    content,
  );
  const got =
    issue.code === 'unrecognized_keys' ? issue.keys.map((key) => JSON.stringify(key)).join(', ') : show(found);
  return `  ${place}: expected ${issue.message}; got ${got}`;
}

function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
