/** Takes secrets out of what `ps` shows of this process. Imported for its effect, before anything that takes time. */
import { splitJoinUrl } from '../../protocol/wire/join-url.ts';
import { withoutSecrets } from './without-secrets.ts';

const args = process.argv.slice(2);
const shown = withoutSecrets(args).map((argument) => splitJoinUrl(argument).url);
if (shown.some((argument, i) => argument !== args[i])) process.title = ['gradsock', ...shown].join(' ');
