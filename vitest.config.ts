import { defineConfig } from 'vitest/config'

/** `unit` is quick and touches no network but loopback; `e2e` starts processes and is what `npm test` adds. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          globalSetup: ['scripts/test-folder.ts'],
          include: ['lib/**/*.test.ts', 'modules/**/*.test.ts', 'simulator/**/*.test.ts', 'scripts/**/*.test.ts'],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/**/*.test.ts'],
          testTimeout: 240_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
