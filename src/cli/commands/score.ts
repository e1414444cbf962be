/** `scoreline score`: scores files with a model, without a job file. */
import { type Command, Option } from 'commander';
import { ScorelineError, shown } from '../../base/errors.js';
import {
  commaList,
  type JobOptions,
  reasonOf,
  withMetricsOption,
  withOutputOptions,
} from '../options.js';
import { runAndReport } from '../run-and-report.js';

interface ScoreOptions extends JobOptions {
  readonly output: string;
  readonly features?: string[];
  readonly keep?: string[];
  readonly where?: string;
  readonly format?: string;
  readonly because?: string;
  readonly adopt?: boolean;
  readonly metrics?: string;
}

/** Adds the command. */
export function addScore(program: Command, exit: (code: number) => void): void {
  withOutputOptions(
    withMetricsOption(
      program
        .command('score <model> <data>')
        .summary('score files without a job file')
        .description(
          'Scores Parquet or CSV files with an ONNX model and publishes the predictions.',
        )
        .requiredOption('-o, --output <folder>', 'where to publish')
        .option(
          '--features <columns>',
          'columns of a matrix input, in order, separated by commas',
          commaList,
        )
        .option('--keep <columns>', 'columns to publish beside the predictions', commaList)
        .option('--where <sql>', 'score only the rows for which this holds')
        .addOption(
          new Option(
            '--format <format>',
            'how predictions are written; without it parquet',
          ).choices(['parquet', 'csv']),
        )
        .option('--adopt', 'take over an output folder that belongs to another job')
        .option('--because <text>', 'publish also what was reverted, and keep why', reasonOf)
        .option('--workers <n>', 'worker processes; auto: one for each core')
        .option('--device <name>', 'where the model runs: auto, cpu, cuda, …')
        .option('--batch-rows <n>', 'rows that the model gets at once, or auto'),
    ),
  ).action(async (model: string, data: string, options: ScoreOptions) => {
    const load = async () => {
      const { jobFromObject, jobNameOf } = await import('../../index.js');
      return jobFromObject(
        {
          name: jobNameOf(model),
          input: { path: data, ...given('where', options.where) },
          model: { path: model },
          ...given('features', options.features),
          output: {
            path: options.output,
            ...given('keep', options.keep),
            ...given('format', options.format),
          },
          run: {
            ...given('workers', countOf('--workers', options.workers)),
            ...given('device', options.device),
            ...given('batch_rows', countOf('--batch-rows', options.batchRows)),
          },
        },
        { baseDir: process.cwd() },
      );
    };
    exit(await runAndReport(load, options));
  });
}

function given(key: string, value: unknown): Record<string, unknown> {
  return value === undefined ? {} : { [key]: value };
}

function countOf(option: string, text: string | undefined): number | 'auto' | undefined {
  if (text === undefined || text === 'auto') return text;
  if (!/^\d{1,9}$/.test(text)) {
    throw new ScorelineError('usage', `${option} ${shown(text)}: expected a whole number or auto`);
  }
  return Number(text);
}
