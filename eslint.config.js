import eslint from '@eslint/js';
import tseslint from 'typescript-eslint';

/** Forbids imports of libraries outside the folder that knows them. What folders may import of each other: .dependency-cruiser.mjs. */
const forbid = (files, patterns) => ({
  files,
  rules: { '@typescript-eslint/no-restricted-imports': ['error', { patterns }] },
});

const ws = {
  group: ['ws'],
  message:
    'Only coordinator/server/server.ts, worker/connection/client.ts and worker/connection/peer-server.ts know WebSockets.',
};
const onnxruntime = { group: ['onnxruntime-node'], message: 'Only worker/engines/onnx knows ONNX Runtime.' };
const tensorflow = { group: ['@tensorflow/*'], message: 'Only worker/engines/tfjs knows TensorFlow.js.' };
export default tseslint.config(
  { ignores: ['dist/', 'runs/', 'sweeps/', 'coverage/', '.test-data/', 'node_modules/'] },
  eslint.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        projectService: {
          allowDefaultProject: [
            'eslint.config.js',
            '.dependency-cruiser.mjs',
            'worker/engines/thread/from-sources.mjs',
            'test/worker/engines/thread/stand-in-thread.mjs',
          ],
        },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      'no-console': 'error',
      eqeqeq: 'error',
    },
  },
  forbid(['protocol/**', 'coordinator/**', 'worker/**', 'scripts/**'], [ws, onnxruntime, tensorflow]),
  forbid(
    ['coordinator/server/server.ts', 'worker/connection/client.ts', 'worker/connection/peer-server.ts'],
    [onnxruntime, tensorflow],
  ),
  forbid(['worker/engines/onnx/**'], [ws, tensorflow]),
  forbid(['worker/engines/tfjs/**'], [ws, onnxruntime]),
  { files: ['test/**'], rules: { '@typescript-eslint/no-unsafe-assignment': 'off' } },
  { files: ['**/*.{js,mjs}'], ...tseslint.configs.disableTypeChecked },
  {
    files: ['docs/examples/**'],
    languageOptions: { globals: { console: 'readonly' } },
    rules: { 'no-console': 'off' },
  },
);
