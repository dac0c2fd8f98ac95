// The linter: strict type-checked rules, and which folder may import which.
import boundaries from 'eslint-plugin-boundaries';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

const imports = (from, ...to) => ({
  from: { element: { type: from } },
  allow: { to: { element: { types: { anyOf: [from, ...to] } } } },
});

const koffi = { name: 'koffi', message: 'Only native/libc.ts speaks to koffi.' };

/** The files that match import nothing whose path does. */
const without = (files, ...patterns) => ({
  files,
  rules: { 'no-restricted-imports': ['error', { paths: [koffi], patterns }] },
});

// What others may import of a controller's room: its doors, and nothing of its inside.
const doors = {
  repositories: ['repositories', 'repositories-plan'],
  mounts: ['mounts', 'mounts-plan', 'mounts-observe', 'mounts-integrity'],
  cgroups: ['cgroups', 'cgroups-plan', 'cgroup-hierarchies'],
  containers: [
    'containers-plan',
    'containers-act',
    'containers-observe',
    'end-bound',
    'readiness',
    'restart',
    'scheduled',
    'start-failure',
  ],
  schedules: ['schedules', 'schedules-plan'],
  'kept-data': ['kept-data', 'kept-data-plan'],
  sandbox: [],
  reconcile: ['model', 'reconciler'],
  trial: [],
  status: ['container-status', 'reached', 'trial-status'],
  forecast: ['forecast', 'effect'],
};
const open = Object.entries(doors).flatMap(([room, files]) => files.map((file) => `${room}/${file}`));
const inside = {
  regex: String.raw`^\.\./(?!(?:${open.join('|')})\.ts$)(?:${Object.keys(doors).join('|')})/`,
  message: 'The inside of another room: import one of its doors (.eslint.config.mjs), or move up what both share.',
};
const kernel = {
  regex: String.raw`^(?:\.\./)+native/`,
  message: 'What plans are pure: they see the kernel in what was observed.',
};

export default defineConfig(
  { ignores: ['.build/', 'node_modules/'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    linterOptions: { reportUnusedDisableDirectives: 'error', noInlineConfig: true },
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    plugins: { boundaries },
    settings: {
      'boundaries/elements': [
        { type: 'npk', partialMatch: false, pattern: 'src/npk/**' },
        ...['state', 'controllers', 'native', 'src', 'examples', 'test'].map((folder) => ({
          type: folder,
          partialMatch: false,
          pattern: `${folder}/**`,
        })),
      ],
    },
    rules: {
      eqeqeq: 'error',
      'no-restricted-imports': ['error', { paths: [koffi] }],
      'boundaries/no-unknown-files': 'error',
      'boundaries/dependencies': [
        'error',
        {
          default: 'disallow',
          policies: [
            { allow: { to: { module: { origin: ['external', 'core'] } } } },
            imports('state'),
            imports('native', 'state'),
            imports('npk', 'state', 'native'),
            imports('controllers', 'state', 'native', 'npk'),
            imports('src', 'npk', 'controllers', 'state', 'native'),
            // The demo is a test that people watch.
            imports('examples', 'test', 'src', 'npk', 'controllers', 'state', 'native'),
            imports('test', 'examples', 'src', 'npk', 'controllers', 'state', 'native'),
          ],
        },
      ],
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      '@typescript-eslint/no-invalid-void-type': 'off',
      '@typescript-eslint/no-misused-spread': ['error', { allow: ['string'] }],
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
      // A function that promises may throw at once: `async` makes that a rejection, with or without an await.
      '@typescript-eslint/require-await': 'off',
      // Methods here are closures: an object's functions never say `this`.
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
    },
  },
  without(['controllers/*/*.ts'], inside),
  without(['controllers/*/*-plan.ts'], inside, kernel),
  without(['native/**/*.ts'], {
    regex: String.raw`^(?:\.\./)+state/(?!(?:errno|serial-queue|in-slices|health|text/common-ends)\.ts$)`,
    message:
      'native/ knows of the state how errors are read, how things are done one at a time or by and by, what two texts share, and how containers are.',
  }),
  { files: ['native/libc.ts'], rules: { 'no-restricted-imports': 'off' } },
  {
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      // The runner itself waits for what these give.
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', name: ['test', 'describe', 'it', 'suite'], package: 'node:test' },
          ],
        },
      ],
    },
  },
);
