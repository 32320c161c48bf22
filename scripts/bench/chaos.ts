/**
 * `npm run chaos`: trains in quiet, then again while workers are killed and stopped, while the coordinator is killed, and
 * while the links between them are cut and delayed, by a seed, and compares the parameters that all of them end with.
 *
 * Links are those of an emulated network of Linux network namespaces; where there are none, that run is left out.
 *
 * Run by node itself, not by the command `tsx`: that one kills a program that does not answer Ctrl-C within 30 ms, and
 * nothing would be taken down.
 */
import { Command } from 'commander';
import { carryOut, LINK_FAULT_SECONDS, LONGEST_STOP_SECONDS } from './chaos/carry-out.ts';
import type { Chaos } from './chaos/carry-out.ts';
import { planDeeds } from './chaos/deeds.ts';
import type { Deed } from './chaos/deeds.ts';
import { formatOutcomes } from './chaos/outcome.ts';
import type { Outcome } from './chaos/outcome.ts';
import { UNLIMITED } from '../network/link.ts';
import type { Link } from '../network/link.ts';
import { findEmulation, loopbackPlace, makePlace } from '../network/place.ts';
import { parseCount, parseNotNegative, parsePositive } from '../flags/run-flags.ts';
import { EXIT, interruptSignal, runMain } from '../process.ts';
import { countOf } from '../../protocol/counts.ts';

/** A link that is slow: with netem late, without it narrow, so that a gradient of `conv-pool` takes two seconds. */
const LATE: Link = { bitsPerSecond: 1e9, roundTripMs: 400 };
const NARROW: Link = { bitsPerSecond: 1e6, roundTripMs: 0 };

interface Flags {
  model: string;
  workers: number;
  microbatches: number;
  epochs: number;
  kills: number;
  stops: number;
  coordinatorKills: number;
  cuts: number;
  delays: number;
  interval: number;
  seed: number;
}

const { shortest, longest } = LINK_FAULT_SECONDS;

const command = new Command('chaos')
  .description('trains while processes are killed and links are cut, and compares with a quiet run')
  .option('--model <name>', 'what is trained', 'conv-pool')
  .option('--workers <n>', 'worker processes', parseCount, 3)
  .option('--microbatches <n>', 'of a step', parseCount, 8)
  .option('--epochs <n>', 'long enough for all that is to happen', parseCount, 60)
  .option('--kills <n>', 'workers killed', parseNotNegative, 50)
  .option('--stops <n>', `workers stopped, for up to ${LONGEST_STOP_SECONDS} s`, parseNotNegative, 20)
  .option('--coordinator-kills <n>', 'times that the coordinator is killed, in a run of its own', parseNotNegative, 10)
  .option('--cuts <n>', `links cut for ${shortest} to ${longest} s, in a run of its own`, parseNotNegative, 10)
  .option('--delays <n>', 'links that are slow for as long, in the same run', parseNotNegative, 10)
  .option('--interval <s>', 'seconds between two of them, on average', parsePositive, 0.8)
  .option('--seed <n>', 'of what happens when', parseCount, 1);

const log = (line: string) => void process.stderr.write(`${line}\n`);

await runMain(async () => {
  const signal = interruptSignal(() => log('interrupted: taking everything down'));
  try {
    await main(command.parse().opts<Flags>(), signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    process.exitCode = EXIT.interrupted;
  }
});

async function main(flags: Flags, signal: AbortSignal): Promise<void> {
  const { kills, stops, coordinatorKills, cuts, delays } = flags;
  const quiet = await onLoopback('quiet', {}, flags, signal);
  const outcomes = [quiet];
  if (kills + stops > 0) {
    const counts = { 'kill a worker': kills, 'stop a worker': stops };
    outcomes.push(await onLoopback('workers killed and stopped', counts, flags, signal));
  }
  if (coordinatorKills > 0) {
    outcomes.push(await onLoopback('coordinator killed', { 'kill the coordinator': coordinatorKills }, flags, signal));
  }
  if (cuts + delays > 0) {
    const outcome = await acrossHosts(
      'links cut and delayed',
      { 'cut a link': cuts, 'delay a link': delays },
      flags,
      signal,
    );
    if (outcome) outcomes.push(outcome);
  }
  process.stdout.write(`${formatOutcomes(outcomes)}\n`);
  const differs = outcomes.filter(({ result }) => result.parametersSha256 !== quiet.result.parametersSha256);
  for (const { name } of differs) log(`${name}: other parameters than the quiet run's`);
  if (differs.length > 0) process.exitCode = EXIT.failed;
}

type Counts = Partial<Record<Deed, number>>;

function onLoopback(name: string, counts: Counts, flags: Flags, signal: AbortSignal): Promise<Outcome> {
  return tell(carryOut(chaosOf(name, counts, NARROW, flags), loopbackPlace(), signal));
}

/** With every process on a host of its own, in a namespace; undefined where there are none. */
async function acrossHosts(
  name: string,
  counts: Counts,
  flags: Flags,
  signal: AbortSignal,
): Promise<Outcome | undefined> {
  const emulation = findEmulation();
  if (emulation.delay === 'none') {
    log(`${name}: left out: ${emulation.reason}`);
    return undefined;
  }
  const slow = emulation.delay === 'netem' ? LATE : NARROW;
  const place = makePlace(flags.workers, UNLIMITED, emulation);
  try {
    return await tell(carryOut(chaosOf(name, counts, slow, flags), place, signal));
  } finally {
    place.remove();
  }
}

function chaosOf(name: string, counts: Counts, slow: Link, flags: Flags): Chaos {
  const { interval, seed, model, workers, microbatches, epochs } = flags;
  const sizes = { model, workers, microbatches, epochs };
  return { name, deeds: planDeeds(counts, seed + 1), sizes, interval, seed, slow };
}

async function tell(running: Promise<Outcome>): Promise<Outcome> {
  const outcome = await running;
  log(`${outcome.name}: done in ${outcome.seconds.toFixed(1)} s, workers lost ${countOf(outcome.numLost, 'time')}`);
  return outcome;
}
