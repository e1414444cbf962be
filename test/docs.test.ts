/** What the documentation says is so: its commands run, its tables are those of the code. */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { EXITS } from '../src/base/errors.js';
import { loadJob } from '../src/index.js';
import { fixtureSchema } from '../src/plan/fixture.js';
import { REJECT_REASONS } from '../src/worker/csv-scan.js';
import { QUARANTINE_MESSAGES } from '../src/worker/quarantine.js';
import { listFiles } from './job-case.js';
import { makeFolder, ROOT, scoreline } from './scoreline.js';

const PAGES = [
  'README.md',
  'docs/first-steps.md',
  'docs/operating.md',
  'docs/regression-tests.md',
  'docs/job-file.md',
];
const PAGES_WITH_JOBS = ['README.md', 'docs/first-steps.md'];
const text = (page: string): string => readFileSync(join(ROOT, page), 'utf8');

/** The contents of the fenced blocks of a language, in order. */
function blocks(page: string, language: string): string[] {
  return [...text(page).matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map(
    ([, body]) => body ?? '',
  );
}

/** A checkout as a user has it after `npm ci`, without touching this one. */
function makeCheckout(): string {
  const folder = makeFolder();
  for (const name of ['src', 'fixtures', 'node_modules'])
    symlinkSync(join(ROOT, name), join(folder, name));
  for (const name of ['package.json', 'tsconfig.json', 'jobs', 'bin', 'kernel', '.npmrc']) {
    cpSync(join(ROOT, name), join(folder, name), { recursive: true });
  }
  // `npx scoreline` finds the checkout's own program, as npm does.
  mkdirSync(join(folder, 'shim'));
  writeFileSync(
    join(folder, 'shim', 'npx'),
    `#!/bin/sh\n[ "$1" = scoreline ] && shift && exec "${process.execPath}" "${folder}/bin/scoreline.js" "$@"\nexit 9\n`,
    { mode: 0o755 },
  );
  return folder;
}

describe('the commands of the documentation', () => {
  let checkout = '';
  const shell = (command: string): Promise<{ stdout: string; stderr: string }> =>
    promisify(execFile)('bash', ['-euc', command], {
      cwd: checkout,
      env: { ...process.env, PATH: `${join(checkout, 'shim')}:${process.env.PATH}` },
    });

  beforeAll(async () => {
    checkout = makeCheckout();
    const [setUp] = blocks('README.md', 'sh');
    // The install is what put node_modules there; the rest is typed as it stands.
    const { stdout } = await shell(setUp?.replace('npm ci && ', '') ?? 'exit 9');
    expect(stdout).toContain('336,776 = 328,521 scored + 0 quarantined + 8,255 filtered');
  });

  it('start with the two that the README promises', () => {
    const [setUp, test] = blocks('README.md', 'sh');
    expect([setUp?.trim(), test?.trim()]).toEqual(['npm ci && npm run demo', 'npm ci && npm test']);
  });

  for (const page of PAGES) {
    const commands = blocks(page, 'sh')
      .flatMap((block) => block.split('\n'))
      .filter((line) => line.trim() !== '' && !line.startsWith('npm ci'));
    it.each(commands)(`${page}: %s`, async (command) => {
      const { stdout } = await shell(command);
      expect(stdout).not.toBe('');
    });
  }

  it.each(PAGES_WITH_JOBS)('%s shows job files that are valid', async (page) => {
    const jobs = blocks(page, 'yaml');
    for (const [index, job] of jobs.entries()) {
      const path = join(checkout, 'jobs', `shown-${index}.yaml`);
      writeFileSync(path, job);
      await expect(loadJob(path, [])).resolves.toMatchObject({ name: 'flights' });
    }
    expect(jobs.length).toBeGreaterThan(0);
  });

  it("the README's job is the job of the demo", async () => {
    writeFileSync(join(checkout, 'jobs', 'readme.yaml'), blocks('README.md', 'yaml')[0] ?? '');
    const { file: _shown, ...shown } = await loadJob(join(checkout, 'jobs/readme.yaml'), []);
    const { file: _real, ...real } = await loadJob(join(checkout, 'jobs/flights.yaml'), []);
    expect(shown).toEqual(real);
  });
});

describe('the documentation', () => {
  it('says what each reason to set a row or a record aside means', () => {
    const documented = [...text('docs/operating.md').matchAll(/^\| (`.*?) \|/gm)]
      .flatMap(([, cell]) => [...(cell ?? '').matchAll(/`(\w+)`/g)])
      .map(([, name]) => name);
    expect(documented).toEqual(
      expect.arrayContaining([...Object.keys(QUARANTINE_MESSAGES), ...Object.keys(REJECT_REASONS)]),
    );
  });

  /** A table's rows that begin with exit codes: one for each code. */
  const exitRows = (page: string): { exit: number; cells: string[] }[] =>
    [...text(page).matchAll(/^\| (\d+(?:, \d+)*) \| (.*?) \|$/gm)].flatMap(([, exits, rest]) =>
      (exits ?? '').split(', ').map((exit) => ({
        exit: Number(exit),
        cells: (rest ?? '').replaceAll('`', '').split(' | '),
      })),
    );

  it('has the exit codes of the program', () => {
    const rows = exitRows('README.md').map(({ exit, cells: [meaning = '', retry = ''] }) => ({
      exit,
      // What a signal is called and what follows from it, the README says in its own words.
      meaning: exit > 99 ? meaning.split(/[;,] /)[0] : meaning.split(' (99 ')[0],
      retry: retry.startsWith('yes'),
    }));
    const expected = EXITS.filter(({ exit }) => exit !== 99).map(({ exit, meaning, retry }) => ({
      exit,
      meaning: exit > 99 ? meaning.split(' (')[0] : meaning,
      retry,
    }));
    expect(rows.toSorted((a, b) => a.exit - b.exit)).toEqual(expected);
  });

  it('says what to do after every exit code, in the words of explain-exit', () => {
    const rows = exitRows('docs/operating.md').map(({ exit, cells: [whatToDo] }) => ({
      exit,
      whatToDo,
    }));
    expect(rows.toSorted((a, b) => a.exit - b.exit)).toEqual(
      EXITS.map(({ exit, whatToDo }) => ({ exit, whatToDo })),
    );
  });

  it('names every command, and every command explains itself', async () => {
    const help = await scoreline(['--help']);
    const names = [...(help.stdout.split('Examples:')[0] ?? '').matchAll(/^ {2}([a-z][a-z-]*)\b/gm)]
      .map(([, name]) => name ?? '')
      .filter((n) => n !== 'help');
    expect(names).toEqual(
      expect.arrayContaining(['run', 'plan', 'score', 'inspect', 'current', 'doctor', 'gc']),
    );
    for (const name of names) {
      expect(text('README.md')).toContain(`scoreline ${name}`);
      expect((await scoreline([name, '--help'])).stdout).toContain('Usage: scoreline');
    }
  });

  it('links to files that exist', () => {
    const pages = [
      ...PAGES,
      ...readdirSync(join(ROOT, 'docs'))
        .filter((n) => n.endsWith('.md'))
        .map((n) => `docs/${n}`),
    ];
    const broken = pages.flatMap((page) =>
      [...text(page).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)]
        .map(([, link]) => join(ROOT, page, '..', link ?? ''))
        .filter((path) => {
          try {
            readFileSync(path);
            return false;
          } catch {
            return true;
          }
        }),
    );
    expect(broken).toEqual([]);
  });

  it('has each key of fixture.json, and no other', () => {
    const table = text('docs/regression-tests.md').split('## fixture.json')[1] ?? '';
    const keys = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, key]) => key);
    const { format: _format, ...others } = fixtureSchema.shape;
    expect(keys).toEqual(Object.keys(others));
  });

  it('quotes the examples as they are, each of them', () => {
    const pages = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'));
    const quoted = pages.flatMap((page) =>
      [
        ...text(`docs/${page}`).matchAll(
          /^\[(examples\/\S+)\]\(\.\.\/(\S+)\):\n\n```\w*\n(.*?)^```$/gms,
        ),
      ].map(([, name, link, body]) => ({ name: name ?? '', link, body })),
    );
    for (const { name, link, body } of quoted)
      expect({ name, link, body }).toEqual({ name, link: name, body: text(name) });
    const files = listFiles(join(ROOT, 'examples')).map((name) => `examples/${name}`);
    expect(quoted.map(({ name }) => name).toSorted()).toEqual(files.toSorted());
  });

  it('describes every folder and file that a run leaves in its output', () => {
    const architecture = text('docs/architecture.md');
    for (const name of [
      'scoreline.json',
      'current',
      'snapshots/',
      'manifest.json',
      'publisher.json',
      'held.json',
      'store/scores/',
      'store/parts/',
      'scores.parquet',
      'bad.parquet',
      'scores.json',
      'part.json',
      'statistics.json',
      'report.json',
      'cache/descriptions.json',
      'run.json',
      'log.jsonl',
      'runs/chain/',
      'record.json',
      'runs/jobs/',
      'staged/',
      'staged.json',
      'tmp/',
    ]) {
      expect(architecture).toContain(name);
    }
  });

  it('names every dependency and why it is there', () => {
    const { dependencies, devDependencies } = JSON.parse(text('package.json')) as Record<
      string,
      Record<string, string>
    >;
    const names = [...Object.keys(dependencies ?? {}), ...Object.keys(devDependencies ?? {})];
    const unnamed = names.filter(
      (name) =>
        !name.startsWith('@types/') && !text('docs/architecture.md').includes(`\`${name}\``),
    );
    expect(unnamed).toEqual([]);
  });
});
