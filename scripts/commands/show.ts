/** `gradsock show [FOLDER]`: the runs of a folder in a browser, finished and running ones. */
import { Command } from 'commander';
import { parseAdvertised } from '../../coordinator/server/addresses.ts';
import { parsePublicUrl } from '../../coordinator/server/public-url.ts';
import { parseListenAddress } from '../../coordinator/server/server.ts';
import { needsViewKey, viewKeyOf } from '../../coordinator/server/view-access.ts';
import { countOf } from '../../protocol/counts.ts';
import { publicUrlFlag } from '../flags/commands.ts';
import { flag } from '../flags/values.ts';
import { interruptSignal } from '../process.ts';
import { givenToken, runToken, TOKEN_VARIABLE } from '../run/token.ts';
import { startShow } from '../show/show-server.ts';

const EXAMPLES = `
Pages: / lists the runs, /runs/NAME/ shows one, /compare?runs=A,B shows several side by side. A run that is under way is
followed as it goes. Ctrl-C ends it.

Beyond loopback the pages ask for a view key, which is in the link that is printed. It is derived from $${TOKEN_VARIABLE},
or from a token that is made at the start.

Examples:
  gradsock show
  gradsock show sweeps/my-search --listen 0.0.0.0:7879`;

interface Flags {
  listen: string;
  advertise?: string;
  publicUrl?: string;
}

const write = (text: string) => process.stdout.write(`${text}\n`);

export function showCommand(): Command {
  return new Command('show')
    .argument('[folder]', 'folder that holds run directories, or one run directory', 'runs')
    .addOption(
      flag('--listen <host:port>', 'address of the pages; port 0 takes any free one').default('127.0.0.1:7879'),
    )
    .addOption(
      flag('--advertise <host>', "name or address by which browsers reach it. Default: this machine's addresses"),
    )
    .addOption(publicUrlFlag())
    .addHelpText('after', EXAMPLES)
    .action(async (folder: string, { listen, advertise, publicUrl: givenUrl }: Flags) => {
      const address = parseListenAddress(listen);
      const advertised = advertise === undefined ? undefined : parseAdvertised(advertise);
      const publicUrl = givenUrl === undefined ? undefined : parsePublicUrl(givenUrl);
      const token = givenToken({});
      const viewKey = needsViewKey(address, publicUrl) ? viewKeyOf(runToken(token).token) : undefined;
      const signal = interruptSignal(() => {});
      const rule = viewKey === undefined ? 'anyone' : { viewKey };
      const server = await startShow({ folder, address, rule, advertised, publicUrl });
      try {
        if (viewKey !== undefined) write('warning: this is not encrypted: what is shown can be read on the way');
        const fragment = viewKey === undefined ? '' : `#view=${viewKey}`;
        const [first, ...others] = server.urls.map((url) => `${url}${fragment}`);
        write(`showing ${countOf(server.numRuns, 'run')} of ${folder.replace(/\/*$/, '/')} at ${first!}`);
        for (const url of others) write(`  or ${url}`);
        await new Promise<void>((resolve) => {
          if (signal.aborted) resolve();
          signal.addEventListener('abort', () => resolve());
        });
      } finally {
        await server.close();
      }
    });
}
