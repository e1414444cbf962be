/** `scoreline check`: does a job still give what is expected of a fixture? */
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { ScorelineError } from '../../base/errors.js';
import type { CheckReport, Job, SelectionOptions } from '../../index.js';
import {
  collect,
  type JobOptions,
  overridesOf,
  withJobOptions,
  withOutputOptions,
  withSelectionOptions,
} from '../options.js';
import type { Terminal } from '../terminal.js';
import { withRun } from '../with-run.js';

interface CheckCommandOptions extends JobOptions, SelectionOptions {
  readonly record?: boolean;
  readonly fixture?: string;
  readonly input?: string;
  readonly model?: string;
  readonly tolerance?: readonly string[];
  readonly variants?: boolean;
  readonly junit?: string;
  readonly html?: string;
  readonly format: 'text' | 'github';
}

/** Adds the command. */
export function addCheck(program: Command, exit: (code: number) => void): void {
  const command = program
    .command('check <job>')
    .summary('compare what a job gives with what is expected of a fixture')
    .description(
      'Scores the rows of a fixture as the job stands, and compares with the rows that were recorded, by key. Ends with 0 when ' +
        'all is as expected and with 3 when it is not. Nothing is published. What selects rows goes with --record, which keeps it.',
    )
    .option('--record', 'write down what the job gives now: fixture.json and expected.parquet')
    .option(
      '--fixture <folder>',
      "the fixture's folder; without it fixtures/NAME beside the job file",
    )
    .option('--input <path>', 'with --record: read this instead of input.path, also later')
    .option(
      '--tolerance <column=tolerance>',
      'with --record: how far numbers may be off, such as score=relative:1e-6 (repeatable)',
      collect,
    )
    .option('--model <file>', 'score with another model than that of the job')
    .option('--variants', 'look also whether scores depend on batches, workers, order or nulls')
    .option('--junit <file>', 'write the result as JUnit XML')
    .option('--html <file>', 'write the result as a page')
    .addOption(
      new Option('--format <format>', 'how the result is printed; github adds annotations')
        .choices(['text', 'github'])
        .default('text'),
    );
  withOutputOptions(withSelectionOptions(withJobOptions(command))).action(
    async (file: string, options: CheckCommandOptions) => {
      exit(await (options.record === true ? record : compare)(file, options));
    },
  );
}

async function loadFor(file: string, options: CheckCommandOptions): Promise<Job> {
  const { loadJob } = await import('../../index.js');
  const job = await loadJob(file, overridesOf(options));
  const { model } = options;
  return model === undefined
    ? job
    : { ...job, model: { ...job.model, path: resolve(model), sha256: undefined } };
}

/** The options that a fixture keeps, and that say nothing when it is compared. */
function refuseRecordOptions(options: CheckCommandOptions): void {
  const { input, tolerance, date, from, to, partition, allowMissing } = options;
  const given = {
    ...{ input, date, from, to, 'allow-missing': allowMissing },
    ...{ tolerance: tolerance?.[0], partition: partition?.[0] },
  };
  const idle = Object.entries(given).find(([, value]) => value !== undefined)?.[0];
  if (idle !== undefined)
    throw new ScorelineError(
      'usage',
      `--${idle}: goes with --record, which keeps it in fixture.json; a check takes it from there`,
    );
}

async function record(file: string, options: CheckCommandOptions): Promise<number> {
  const { recordFixture, recordLines } = await import('../../index.js');
  return withRun(options, {
    act: async (tools) =>
      recordFixture(
        await loadFor(file, options),
        {
          fixture: options.fixture,
          input: options.input,
          selection: options,
          tolerances: options.tolerance ?? [],
        },
        tools,
      ),
    show: async (report, terminal) => {
      terminal.result(recordLines(report), report);
      return 0;
    },
    fail: async (error) => error,
  });
}

async function compare(file: string, options: CheckCommandOptions): Promise<number> {
  const { check, writeCheck } = await import('../../index.js');
  const started = performance.now();
  return withRun(options, {
    act: async (tools, terminal) => {
      refuseRecordOptions(options);
      const report = await check(
        await loadFor(file, options),
        {
          fixture: options.fixture,
          variants: options.variants === true,
          onVariant: (name) => terminal.say(`variant: ${name}`),
        },
        tools,
      );
      await writeCheck(report, {
        junit: options.junit,
        html: options.html,
        seconds: (performance.now() - started) / 1000,
      });
      return report;
    },
    show: (report, terminal) => show(report, terminal, { file, options }),
    fail: async (error) => error,
  });
}

async function show(
  report: CheckReport,
  terminal: Terminal,
  { file, options }: { readonly file: string; readonly options: CheckCommandOptions },
): Promise<number> {
  const { checkSentence, checkText, githubLines } = await import('../../index.js');
  const { above, cells, below } = checkText(report);
  const annotations = options.format === 'github' ? githubLines(report, file) : [];
  terminal.result([...above, ...terminal.table(cells, [0, 1]), ...below, ...annotations], report);
  if (report.verdict === 'equal') return 0;
  return terminal.fail(new ScorelineError('gate', checkSentence(report)));
}
