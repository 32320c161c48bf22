/** `gradsock rank`: one process of a job that a launcher or a scheduler has started; finds its part by the environment. */
import { hostname } from 'node:os';
import { Command } from 'commander';
import { ConfigError, printableLines } from '../../protocol/errors.ts';
import { addRankFlags } from '../flags/rank.ts';
import type { RankFlags } from '../flags/rank.ts';
import { optionsGiven } from '../flags/given.ts';
import { interruptSignal, ownCommandLine } from '../process.ts';
import { describeRank } from '../rank/describe-rank.ts';
import { findPart } from '../rank/families.ts';
import type { FoundPart } from '../rank/families.ts';
import { hasIPv6, meetingOf } from '../rank/meeting.ts';
import { coordinateRank, workInRank } from '../rank/run-rank.ts';
import type { RankJob } from '../rank/run-rank.ts';
import { onTerminal, TERMINAL_FLAGS } from '../run/on-terminal.ts';
import { givenToken } from '../run/token.ts';

const EXAMPLES = `
Every process of the job is started with the same command. Rank 0 coordinates the run and works in it, the others work.

Examples:
  srun gradsock rank --model conv --run-dir /shared/runs/one
  mpirun -n 4 --bind-to none --map-by slot -x GRADSOCK_TOKEN gradsock rank --model conv --run-dir runs/one`;

/** What the library's training does not take, or takes in another way. */
const OWN = [
  ...TERMINAL_FLAGS,
  ...(['workers', 'coordinatorHost', 'service', 'port', 'joinFile', 'reconnect', 'tokenFile'] as const),
] as const;

export function rankCommand(): Command {
  const command = new Command('rank').addHelpText('after', EXAMPLES);
  return addRankFlags(command).action(async (flags: RankFlags) => {
    const part = findPart(process.env);
    if (part.size === undefined && flags.workers === undefined) throw unknownSize(part);
    const token = givenToken(flags);
    const machine = { hostname: hostname(), hasIPv6: hasIPv6() };
    const meeting = meetingOf(part, flags, token !== undefined, machine);
    const job = { part, meeting, flags, token };
    process.exitCode = part.rank === 0 ? await coordinate(command, job) : await work(job);
  });
}

function unknownSize({ family, read }: FoundPart): ConfigError {
  return new ConfigError(
    `rank: ${read} of ${family}: it does not say how many workers there are: set --workers, or GRADSOCK_WORKERS, to the ` +
      'completions of the Job',
  );
}

type Job = Omit<RankJob, 'say'>;

function coordinate(command: Command, job: Job): Promise<number> {
  const { flags, part, meeting } = job;
  const options = optionsGiven<RankFlags, (typeof OWN)[number]>(command, ...OWN);
  const { callbacks, line } = onTerminal(flags);
  for (const text of describeRank(part, meeting)) line(text);
  return coordinateRank(
    { ...job, say: line },
    { runDir: true, dashboard: true, ...options, ...callbacks, command: ownCommandLine() },
  );
}

function work(job: Job): Promise<number> {
  const { flags, part, meeting } = job;
  const warn = (text: string) => void process.stderr.write(`${printableLines(text)}\n`);
  const say = flags.quiet ? () => {} : warn;
  for (const text of describeRank(part, meeting)) say(text);
  const signal = interruptSignal(() => say('interrupted: leaving the run'), process.stderr);
  return workInRank({ ...job, say: warn }, signal);
}
