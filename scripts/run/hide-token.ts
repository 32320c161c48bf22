/** Takes tokens out of what `ps` shows of this process. Imported for its effect, before anything that takes time. */
import { splitJoinUrl } from '../../protocol/wire/join-url.ts';

if (process.argv.some((argument) => argument.includes('#'))) {
  process.title = ['gradsock', ...process.argv.slice(2).map((argument) => splitJoinUrl(argument).url)].join(' ');
}
