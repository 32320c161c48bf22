/** Arguments of the command line without where `--notify` posts: whoever knows that can post there too. */
export function withoutSecrets(args: readonly string[]): string[] {
  return args.map((argument, i) => {
    if (args[i - 1] === '--notify') return '***';
    return argument.startsWith('--notify=') ? '--notify=***' : argument;
  });
}
