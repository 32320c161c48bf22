/** `gradsock coordinator`: waits for workers from anywhere, then trains with them. */
import { Command } from 'commander';
import type { Option } from 'commander';
import { parseAdvertised } from '../../coordinator/server/addresses.ts';
import { createEntrance } from '../../coordinator/server/entrance.ts';
import { announceCompletion } from '../../coordinator/server/announce-completion.ts';
import type { AnnouncementOptions } from '../../coordinator/server/announce-completion.ts';
import { carryOutRun } from '../../coordinator/main.ts';
import { isLoopback, parseListenAddress, startServer } from '../../coordinator/server/server.ts';
import { countOf } from '../../protocol/counts.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { joinUrlOf } from '../../protocol/wire/join-url.ts';
import { seconds, upTo } from '../flags/values.ts';
import { allReduceFlags } from '../flags/distribution.ts';
import { addRunFlags, flag } from '../flags/run-flags.ts';
import type { RunFlags } from '../flags/run-flags.ts';
import { checkFileFolder } from '../flags/check-file.ts';
import { removeJoinFile, writeJoinFile } from '../run/join-file.ts';
import { joinInstructions } from '../run/join-instructions.ts';
import { exitCodeOf } from '../process.ts';
import { withResume } from '../flags/resume.ts';
import { runOptionsOf } from '../run/run-options.ts';
import { readServerTls, serverTlsFlags } from '../run/tls-files.ts';
import type { ServerTlsFlags } from '../run/tls-files.ts';
import { keepToken, keptTokenPath, runToken, tokenFileFlag } from '../run/token.ts';
import type { TokenFlags } from '../run/token.ts';

const EXAMPLES = `
Examples:
  gradsock coordinator --workers 2
  gradsock coordinator --listen 0.0.0.0:7878 --workers 4 --join-file /shared/join`;

/** Each takes a connection, and a process may have some ten thousands at most. */
const MOST_WORKERS = 10_000;

interface CoordinatorFlags extends RunFlags, TokenFlags, ServerTlsFlags {
  listen: string;
  advertise?: string;
  workers: number;
  joinFile?: string;
  /** False with --no-token. */
  token?: boolean;
  joinTimeout: number;
}

export function coordinatorCommand(): Command {
  const command = new Command('coordinator').addHelpText('after', EXAMPLES);
  addRunFlags(command, {
    distribution: [
      flag('--workers <n>', 'number of workers to wait for').argParser(upTo(MOST_WORKERS)).default(2),
      ...allReduceFlags(),
    ],
    joining: joiningFlags(),
  }).action(async (given: CoordinatorFlags) => {
    const flags = withResume(given, command);
    const { joinFile } = flags;
    const address = parseListenAddress(flags.listen);
    if (flags.token === false && !isLoopback(address)) {
      throw new ConfigError(
        `--no-token with --listen ${flags.listen}: expected a loopback address: leave out one of them`,
      );
    }
    const advertised = flags.advertise === undefined ? undefined : parseAdvertised(flags.advertise);
    const secret = flags.token === false ? undefined : runToken(flags, flags.resumed?.path);
    const token = secret?.token;
    const tls = readServerTls(flags);
    const ringObstacle = tls && 'this run is encrypted, which links between the workers of a ring are not';
    const options = { ...(await runOptionsOf(flags, flags.workers, flags.joinTimeout)), token, ringObstacle };
    const { line } = options.reporter;
    let health: () => object = () => ({ status: 'completed', workers: 0 });
    const entrance = createEntrance((admit) =>
      startServer(address, () => health(), admit, { tls, advertised, numWorkers: flags.workers }),
    );
    let hasListened = false;
    const result = await carryOutRun({
      ...options,
      async prepare() {
        if (joinFile !== undefined) checkFileFolder('--join-file', joinFile);
        await entrance.take();
      },
      async summonWorkers({ membership, runDir }) {
        hasListened = true;
        if (token !== undefined) await keepToken(runDir, token);
        health = () => ({ status: 'running', workers: membership.members.length });
        entrance.open((transport, isSameMachine) => membership.admit(transport, isSameMachine));
        const joinUrl = joinUrlOf(entrance.joinUrl, token);
        try {
          if (joinFile !== undefined) await writeJoinFile(joinFile, joinUrl);
        } catch (error) {
          await entrance.close();
          throw error;
        }
        if (!isLoopback(address) && !tls) line('warning: without --tls-cert, what is sent can be read on the way');
        const isShown = secret?.isFresh === true && process.stdout.isTTY;
        const shownToken = token === undefined ? {} : { token: { text: token, isShown, path: keptTokenPath(runDir) } };
        const { joinUrls } = entrance;
        const { workers: numWorkers } = flags;
        const fingerprint = tls?.fingerprint;
        const instructions = joinInstructions({ numWorkers, joinUrls, fingerprint, joinFile, ...shownToken });
        for (const text of instructions) line(text);
        return {
          async stop() {
            if (joinFile !== undefined) await removeJoinFile(joinFile, joinUrl, options.warn);
            await entrance.close();
          },
        };
      },
    }).catch(async (error: unknown) => {
      await entrance.close();
      throw error;
    });
    process.exitCode = exitCodeOf(result);
    const wasOver = flags.resumed && !flags.resumed.completed && result.status === 'completed' && !hasListened;
    // A port that chance chose is not the one where workers wait.
    if (!wasOver || address.port === 0) return entrance.close();
    await tellWaitingWorkers({
      token,
      numWorkers: flags.workers,
      signal: options.signal,
      listen(admit) {
        entrance.open(admit);
        return Promise.resolve(entrance);
      },
      line,
      warn: options.warn,
    });
  });
  return command;
}

function joiningFlags(): readonly Option[] {
  return [
    flag('--listen <host:port>', 'address at which workers join. 0.0.0.0: all addresses; [::]: IPv6 as well').default(
      '127.0.0.1:7878',
    ),
    flag(
      '--advertise <host[:port]>',
      "name or address by which workers reach --listen. Default: this machine's addresses",
    ),
    flag('--join-file <path>', 'file for the URL and the token, readable by you alone; removed at the end'),
    tokenFileFlag(),
    flag('--no-token', 'let everyone in who can connect; only with a loopback address'),
    flag('--join-timeout <seconds>', 'longest wait for workers').argParser(seconds).default(600),
    ...serverTlsFlags(),
  ];
}

/** Of a run that was resumed after its last step: what it is has been recorded, and does not change if this fails. */
async function tellWaitingWorkers({
  line,
  ...announcement
}: Omit<AnnouncementOptions, 'reason'> & { readonly line: (text: string) => void }): Promise<void> {
  line('the run was over already: for a few seconds, workers that wait for it are told so');
  try {
    const numTold = await announceCompletion({ ...announcement, reason: 'the run is completed' });
    line(`${numTold} of ${countOf(announcement.numWorkers, 'worker was', 'workers were')} told`);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    announcement.warn(`workers that wait were not told: ${error.message}`);
  }
}
