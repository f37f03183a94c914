// SPDX-License-Identifier: Apache-2.0
// Only the typed rules that Biome cannot do; everything else is Biome's.
import {parser, plugin} from 'typescript-eslint'

export default [
  {
    files: ['**/*.ts', '**/*.tsx'],
    languageOptions: {parser, parserOptions: {projectService: true, tsconfigRootDir: import.meta.dirname}},
    plugins: {'@typescript-eslint': plugin},
    rules: {
      '@typescript-eslint/no-floating-promises': ['error', {allowForKnownSafeCalls: [{from: 'package', package: 'node:test', name: ['test', 'it', 'describe', 'suite']}]}],
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/only-throw-error': 'error',
    },
  },
]
