import { expect, test } from 'vitest';
import { withoutSecrets } from '../../../scripts/run/without-secrets.ts';

test('the place that is notified is no part of a recorded command line', () => {
  const url = 'https://ntfy.example/secret';
  expect(withoutSecrets(['train', '--notify', url, '--epochs', '3'])).toEqual([
    'train',
    '--notify',
    '***',
    '--epochs',
    '3',
  ]);
  expect(withoutSecrets(['train', `--notify=${url}`])).toEqual(['train', '--notify=***']);
  expect(withoutSecrets(['--mlflow', 'https://me:pass@host/x'])).toEqual(['--mlflow', 'https://***@host/x']);
});
