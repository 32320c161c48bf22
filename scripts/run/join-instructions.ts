/** What a coordinator prints for anyone who starts its workers. */
import { countOf } from '../../protocol/counts.ts';

export interface JoinInstructions {
  /** Workers that the run waits for. */
  readonly numWorkers: number;
  /** Workers that the program itself starts. Default: none. */
  readonly numLocal?: number;
  /** Without a token, the likeliest first. */
  readonly joinUrls: readonly [string, ...string[]];
  /** Of the certificate that is served, where one is. */
  readonly fingerprint?: string | undefined;
  /** The run's token, where it has one. */
  readonly token?: {
    readonly text: string;
    /** Made for this run and known to nobody yet, and the lines go to a terminal: only then is it printed. */
    readonly isShown: boolean;
    /** A file that holds it. */
    readonly path: string;
  };
  readonly joinFile?: string | undefined;
}

/** The lines, one of which holds the token, alone, if it is shown. */
export function joinInstructions(run: JoinInstructions): string[] {
  const { joinUrls, token, joinFile } = run;
  const [likeliest, ...others] = joinUrls;
  return [
    whatFor(run),
    commandFor(likeliest, run),
    ...(others.length > 0
      ? [
          'where a worker cannot reach that address, with one of these, or with several URLs in one command; --advertise HOST ' +
            'gives another:',
          ...others.map((url) => commandFor(url, run)),
        ]
      : []),
    ...(token ? tokenLines(token, joinFile) : []),
  ];
}

function whatFor({ numWorkers, numLocal = 0 }: JoinInstructions): string {
  const numMissing = numWorkers - numLocal;
  if (numMissing <= 0) return 'workers of other machines join with';
  const workers = numLocal === 0 ? countOf(numMissing, 'worker') : countOf(numMissing, 'more worker');
  return `waiting for ${workers}; start ${numMissing === 1 ? 'it' : 'each of them'} with`;
}

function commandFor(url: string, { fingerprint, token }: JoinInstructions): string {
  const trust = fingerprint === undefined ? '' : ` --tls-fingerprint ${fingerprint}`;
  // Shells take brackets, which an IPv6 address has, for a pattern.
  const quoted = url.includes('[') ? `"${url}"` : url;
  return `  npx gradsock worker ${quoted}${trust}${token ? '' : ' --no-token'}`;
}

function tokenLines({ text, isShown, path }: NonNullable<JoinInstructions['token']>, joinFile?: string): string[] {
  const byFile = joinFile === undefined ? '--join-file' : `--join-file ${joinFile}`;
  if (isShown) return ['and with this token, for which a worker on a terminal asks:', `  ${text}`];
  return [
    `and with the run's token, which is not shown here: hand it over by GRADSOCK_TOKEN, --token-file or ${byFile}`,
    `  it is in ${path}, which its owner alone can read`,
  ];
}
