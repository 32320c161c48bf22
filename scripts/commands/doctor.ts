/** `gradsock doctor [URL]`: what is in the way of a worker, before it joins. */
import { Command } from 'commander';
import { columnsOf, createLiveLines } from '../../coordinator/reporting/text.ts';
import { printableLines } from '../../protocol/errors.ts';
import type { Check } from '../doctor/check.ts';
import { examine } from '../doctor/doctor.ts';
import { asJson, hasFailed, headingOf, linesOf, summaryOf } from '../doctor/report.ts';
import { addDoctorFlags, portRangeOf } from '../flags/commands.ts';
import type { DoctorFlags } from '../flags/commands.ts';
import { EXIT, interruptSignal } from '../process.ts';
import { askForToken, hasTerminal } from '../run/ask-secret.ts';
import { joinSourceOf, sourceOf } from '../run/join-source.ts';
import { readTrust } from '../run/tls-files.ts';

const EXAMPLES = `
Exit codes: 0 nothing is in the way, 1 a check failed, 2 a mistake in the command.

Examples:
  gradsock doctor ws://192.168.1.10:7878
  gradsock doctor --join-file /shared/join --json`;

/** Of the token's prompt, and of standard input. */
const ASK_SECONDS = 600;
const DISCOVER_SECONDS = 10;

export function doctorCommand(): Command {
  const command = new Command('doctor')
    .argument('[urls...]', "the coordinator's URL, as for a worker. Default: this machine alone is examined")
    .addHelpText('after', EXAMPLES);
  addDoctorFlags(command).action(async (joinUrls: readonly string[], flags: DoctorFlags) => {
    const warn = (line: string) => process.stderr.write(`${printableLines(line)}\n`);
    const isNamed = flags.joinFile !== undefined || flags.joinStdin || flags.discover !== undefined;
    const isAlone = joinUrls.length === 0 && !isNamed;
    const place = isAlone
      ? undefined
      : await joinSourceOf(
          joinUrls,
          { ...flags, wait: flags.discover === undefined ? ASK_SECONDS : DISCOVER_SECONDS },
          {
            command: 'doctor',
            stdin: process.stdin,
            isOnCommandLine: (name) => command.getOptionValueSource(name) === 'cli',
            ask: hasTerminal() ? (url) => askForToken(url, ASK_SECONDS) : undefined,
            warn,
          },
        );
    const live = flags.json ? undefined : createLiveLines(process.stderr);
    const signal = interruptSignal(() => process.exit(EXIT.interrupted));
    const print = printer();
    try {
      const { engine, device, dataDir } = flags;
      const { checks, urls } = await examine({
        ...{ engine, device, dataDir, signal },
        target: place && sourceOf(place),
        tlsOf: (url) => readTrust(flags, url),
        peerPorts: portRangeOf(flags.peerPorts),
        onBegin: (what) => live?.draw(`checking ${what}`.slice(0, columnsOf(process.stderr) - 1)),
        onCheck(check) {
          if (flags.json) return;
          live?.clear();
          print(check);
        },
      });
      live?.clear();
      process.stdout.write(flags.json ? `${asJson(checks, urls)}\n` : `\n${summaryOf(checks)}\n`);
      if (hasFailed(checks)) process.exitCode = EXIT.failed;
    } finally {
      live?.clear();
      live?.done();
    }
  });
  return command;
}

/** Prints checks one by one, each section below its heading. */
function printer(): (check: Check) => void {
  let section: Check['section'] | undefined;
  return (check) => {
    const heading = check.section === section ? [] : [...(section ? [''] : []), headingOf(check.section)];
    section = check.section;
    process.stdout.write(`${[...heading, ...linesOf(check, columnsOf(process.stdout))].join('\n')}\n`);
  };
}
