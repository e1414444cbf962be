/** The examples for schedulers: each is read by the program that it is for, and what it calls is run. */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pythonWith } from '../python.js';
import { ROOT } from '../scoreline.js';
import { makeSite, PARTITIONS, type Ran, type Site } from './scheduler-case.js';
import { type Cluster, startCluster } from './slurm-cluster.js';

const example = (name: string): string => join(ROOT, 'examples', name);
const text = (name: string): string => readFileSync(example(name), 'utf8');

const QUIET: Ran = { exit: 0, stdout: '', stderr: '' };
/** A line for the error; of a run another that says whose it is. */
const FAILS = {
  stdout: '',
  stderr: expect.stringMatching(/^scoreline: .+\n(scoreline: job .+\n)?$/),
};

/** Why a test cannot be run here; nothing where it can. */
const without = (program: string): string | undefined => {
  if (spawnSync('sh', ['-c', `command -v ${program}`]).status === 0) return undefined;
  const why = `${program} is not installed`;
  console.log(`skipped: ${why}`);
  return why;
};

/** What a plain run publishes of the same input. */
let expected: Record<string, string> = {};
beforeAll(async () => {
  const site = await makeSite();
  expect(site.run('scoreline', ['run', 'jobs/flights.yaml', '--quiet'])).toEqual(QUIET);
  expected = site.published();
  expect(Object.keys(expected)).toHaveLength(PARTITIONS + 1);
});

/** The example's text with its folder, and lines of a crontab without what cron takes from them. */
const placed = (line: string, { folder }: Site): string =>
  line.replaceAll('/srv/scoreline', folder);

describe('cron', () => {
  const JOB = /^\d+ (?:\S+ ){4}(.*)$/gm;

  test('takes the crontab, and would not take one that is wrong', ({ skip }) => {
    const why = without('crontab');
    if (why !== undefined) skip(why);
    const check = (path: string): number | null => {
      // Newer versions check with -T, those before with -n.
      const tried = spawnSync('crontab', ['-T', path], { encoding: 'utf8' });
      return /invalid option/.test(tried.stderr)
        ? spawnSync('crontab', ['-n', path]).status
        : tried.status;
    };
    expect(check(example('cron/crontab'))).toBe(0);
    const wrong = join(execFileSync('mktemp', ['-d'], { encoding: 'utf8' }).trim(), 'crontab');
    writeFileSync(wrong, text('cron/crontab').replace('17 * * * *', '61 * * * *'));
    expect(check(wrong)).toBe(1);
  });

  test('has nothing to mail while all is well, and a line for each job that fails', async () => {
    const site = await makeSite();
    const commands = [...text('cron/crontab').matchAll(JOB)].map(([, line]) =>
      // To cron, a percent sign that is not escaped ends the command.
      placed(line ?? '', site).replaceAll('\\%', '%'),
    );
    expect(commands).toHaveLength(3);
    for (const command of commands)
      expect([command, site.run('/bin/sh', ['-c', command])]).toEqual([command, QUIET]);
    expect(site.published()).toEqual(expected);

    rmSync(join(site.folder, 'in'), { recursive: true });
    rmSync(join(site.folder, 'out/flights/snapshots/000001/data/part=1'), { recursive: true });
    const [hourly, daily, weekly] = commands.map((command) => site.run('/bin/sh', ['-c', command]));
    expect(hourly).toEqual({ exit: 4, ...FAILS });
    expect(weekly).toEqual({ exit: 6, ...FAILS });
    // The mail of a job with a log is the log's last line.
    expect(daily?.stderr).toBe('');
    expect(JSON.parse(daily?.stdout ?? '')).toMatchObject({ exit: 4 });
    expect(daily?.stdout).toBe(readFileSync(join(site.folder, 'logs/daily.log'), 'utf8'));
  });

  test('has its logs rotated', async ({ skip }) => {
    const why = without('logrotate');
    if (why !== undefined) skip(why);
    const site = await makeSite();
    writeFileSync(join(site.folder, 'logs/daily.log'), '{"level":"error"}\n');
    const config = join(site.folder, 'logrotate');
    writeFileSync(config, placed(text('cron/logrotate'), site), { mode: 0o644 });
    const rotate = ['--force', '--state', join(site.folder, 'state'), config];
    expect(site.run('logrotate', rotate)).toEqual(QUIET);
    const [log] = execFileSync('ls', [join(site.folder, 'logs')], { encoding: 'utf8' }).split('\n');
    expect(log).toBe('daily.log.1.gz');
  });
});

describe('systemd', () => {
  const UNITS = ['systemd/scoreline-flights.service', 'systemd/scoreline-flights.timer'];

  test('takes the units', ({ skip }) => {
    const why = without('systemd-analyze');
    if (why !== undefined) skip(why);
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', ...UNITS.map(example)], {
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([0, '']);
    const at = /^OnCalendar=(.*)$/m.exec(text(UNITS[1]!))?.[1] ?? '';
    expect(execFileSync('systemd-analyze', ['calendar', at], { encoding: 'utf8' })).toContain(
      ':17:00',
    );
  });

  test('starts a run that publishes, and does not start again what needs a person', async () => {
    const site = await makeSite();
    const service = text(UNITS[0]!);
    const [program = '', ...args] = /^ExecStart=(.*)$/m.exec(service)?.[1]?.split(' ') ?? [];
    expect(site.run(program, args)).toEqual(QUIET);
    expect(site.published()).toEqual(expected);
    const { EXIT_CODES } = await import('../../src/base/errors.js');
    const final = Object.values(EXIT_CODES).filter(({ retry }) => !retry);
    expect(service).toContain(
      `RestartPreventExitStatus=${final.map(({ exit }) => exit).join(' ')}\n`,
    );
  });
});

/** Validates the documents of a file by the schema of a version, strictly, and prints them. */
const VALIDATE = `
import json, sys, yaml, kubernetes_validate
documents = list(yaml.safe_load_all(open(sys.argv[1])))
for document in documents:
    kubernetes_validate.validate(document, sys.argv[2], strict=True)
print(json.dumps(documents))
`;

interface PodSpec {
  readonly containers: readonly { readonly command: readonly string[] }[];
}
interface JobSpec {
  readonly completions?: number;
  readonly podFailurePolicy: unknown;
  readonly template: { readonly spec: PodSpec };
}

describe('Kubernetes', () => {
  let python = '';
  beforeAll(() => {
    python = pythonWith('schedulers.txt');
  });
  const validate = (path: string, version: string) =>
    spawnSync(python, ['-c', VALIDATE, path, version], { encoding: 'utf8' });
  const documents = (name: string) => JSON.parse(validate(example(name), '1.37').stdout);

  test.each(['kubernetes/cronjob.yaml', 'kubernetes/shards.yaml'])(
    '%s is what the schemas of the API want, and with another key it is not',
    async (name) => {
      for (const version of ['1.33', '1.37']) {
        const { status, stderr } = validate(example(name), version);
        expect([version, status, stderr]).toEqual([version, 0, '']);
      }
      const site = await makeSite();
      const wrong = join(site.folder, 'wrong.yaml');
      writeFileSync(wrong, text(name).replace('restartPolicy:', 'restartPolicies:'));
      expect(validate(wrong, '1.37').stderr).toContain('restartPolicies');
    },
  );

  test('runs the shards of an Indexed Job, then what publishes them', async () => {
    const site = await makeSite();
    const [{ spec }] = documents('kubernetes/shards.yaml') as [{ spec: JobSpec }];
    const [program = '', ...args] = spec.template.spec.containers[0]!.command;
    for (let index = 0; index < (spec.completions ?? 0); index++) {
      const ran = site.run(program, args, { JOB_COMPLETION_INDEX: String(index) });
      expect([index, ran]).toEqual([index, QUIET]);
    }
    const [{ spec: cron }] = documents('kubernetes/cronjob.yaml') as [
      { spec: { jobTemplate: { spec: JobSpec } } },
    ];
    const [publish = '', ...rest] = cron.jobTemplate.spec.template.spec.containers[0]!.command;
    const left = site.run(publish, [...rest, '--json']);
    expect(JSON.parse(left.stdout).tasks).toEqual({ scored: 0, reused: PARTITIONS });
    expect(site.published()).toEqual(expected);
  });

  test('tries again what is worth it', async () => {
    const { EXIT_CODES } = await import('../../src/base/errors.js');
    const final = Object.values(EXIT_CODES).flatMap(({ exit, retry }) => (retry ? [] : [exit]));
    for (const name of ['kubernetes/cronjob.yaml', 'kubernetes/shards.yaml'])
      expect(text(name)).toContain(`values: [${final.join(', ')}]`);
  });
});

describe('a Slurm array', () => {
  test('runs shards, any of which may be missing; the run after them does the rest', async () => {
    const site = await makeSite();
    const script = text('slurm/shards.sh');
    const [, from, to] = /^#SBATCH --array=(\d+)-(\d+)$/m.exec(script) ?? [];
    expect([from, to]).toEqual(['0', '7']);
    for (const index of [7, 2, 0, 1, 2]) {
      const env = { SLURM_ARRAY_TASK_ID: String(index), SLURM_CPUS_PER_TASK: '1' };
      expect([index, site.run(example('slurm/shards.sh'), [], env)]).toEqual([index, QUIET]);
    }
    const { stdout } = site.run('scoreline', ['run', 'jobs/flights.yaml', '--json', '--quiet']);
    expect(JSON.parse(stdout).tasks).toEqual({ scored: 2, reused: 3 });
    expect(site.published()).toEqual(expected);
  });
});

describe('a Slurm cluster', () => {
  const why =
    process.getuid?.() === 0
      ? ['sbatch', 'slurmctld', 'slurmd', 'munged'].map(without).find((one) => one !== undefined)
      : 'only root can start a Slurm cluster';
  let cluster: Cluster | undefined;
  beforeAll(async () => {
    if (why === undefined) cluster = await startCluster(8);
  });
  afterAll(() => cluster?.stop());

  /** The lines that the page has for it: the first gives the id of the array, the second publishes. */
  const [array = '', publish = ''] =
    /^shards=\$\((sbatch .*)\)\n(sbatch .*)$/m
      .exec(readFileSync(join(ROOT, 'docs/schedulers.md'), 'utf8'))
      ?.slice(1) ?? [];
  const submit = (site: Site, line: string, shards = ''): string => {
    const { exit, stdout, stderr } = site.run('sh', ['-c', line], { ...cluster?.env, shards });
    expect([exit, stderr]).toEqual([0, '']);
    return stdout.match(/\d+/)?.[0] ?? '';
  };
  const printed = (site: Site, id: string): string =>
    readFileSync(join(site.folder, `slurm-${id}.out`), 'utf8');

  test('runs the shards of the example and then publishes', async ({ skip }) => {
    if (why !== undefined) skip(why);
    const site = await makeSite();
    copyFileSync(example('slurm/shards.sh'), join(site.folder, 'shards.sh'));
    const shards = submit(site, array);
    const last = submit(site, publish, shards);
    const states = (await cluster?.ended()) ?? {};
    const tasks = Array.from({ length: 8 }, (_, index) => `${shards}_${index}`);
    expect(states).toMatchObject(
      Object.fromEntries([...tasks, last].map((id) => [id, 'COMPLETED'])),
    );
    for (const id of tasks) expect(printed(site, id)).toBe('');
    expect(printed(site, last)).toContain(`tasks      0 scored, ${PARTITIONS} already there`);
    expect(site.published()).toEqual(expected);
  });

  test('publishes also after shards that never ran', async ({ skip }) => {
    if (why !== undefined) skip(why);
    const site = await makeSite();
    copyFileSync(example('slurm/shards.sh'), join(site.folder, 'shards.sh'));
    const shards = submit(site, array.replace('sbatch', 'sbatch --hold'));
    const last = submit(site, publish, shards);
    submit(site, `scancel ${shards}_[3-6]`);
    submit(site, `scontrol release ${shards}`);
    const states = (await cluster?.ended()) ?? {};
    expect(states[last]).toBe('COMPLETED');
    const ran = readdirSync(site.folder).filter((name) => name.startsWith(`slurm-${shards}_`));
    expect(ran.toSorted()).toEqual([0, 1, 2, 7].map((index) => `slurm-${shards}_${index}.out`));
    expect(printed(site, last)).toContain('tasks      2 scored, 3 already there');
    expect(site.published()).toEqual(expected);
  });
});

describe('GNU parallel', () => {
  test('runs shards side by side, then what publishes them', async ({ skip }) => {
    const why = without('parallel');
    if (why !== undefined) skip(why);
    const site = await makeSite();
    expect(site.run(example('parallel/shards.sh'), [])).toEqual(QUIET);
    expect(site.published()).toEqual(expected);
    const runs = execFileSync('sh', ['-c', 'cat out/flights/runs/chain/*/*/record.json'], {
      cwd: site.folder,
      encoding: 'utf8',
    });
    expect(runs.match(/"outcome": ?"scored"/g)).toHaveLength(8);
  });
});
