import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/faults/**/*.test.ts'],
    globalSetup: 'test/global-setup.ts',
    setupFiles: 'test/setup.ts',
    expect: { requireAssertions: true },
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 1,
    // Each attack is a few short processes: two at a time keep two cores busy.
    maxConcurrency: 4,
    env: { TZ: 'UTC', NO_COLOR: '1' },
  },
});
