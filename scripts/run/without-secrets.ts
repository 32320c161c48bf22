/** Arguments of the command line without what is meant for one receiver alone. */

/** No place where `--notify` posts, for whoever knows it can post there too, and no name and password in a URL. */
export function withoutSecrets(args: readonly string[]): string[] {
  return args.map((argument, i) => {
    if (args[i - 1] === '--notify') return '***';
    if (argument.startsWith('--notify=')) return '--notify=***';
    return argument.replace(/(https?:\/\/)[^/@\s]+@/i, '$1***@');
  });
}
