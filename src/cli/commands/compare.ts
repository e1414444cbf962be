/** `scoreline compare`: how two snapshots, runs, partitions or baselines differ. */
import type { Command } from 'commander';
import { collect, withOutputOptions } from '../options.js';
import type { TerminalOptions } from '../terminal.js';
import { withOutput } from '../with-output.js';

interface CompareOptions extends TerminalOptions {
  readonly baseline?: readonly string[];
  readonly current?: readonly string[];
  readonly why: boolean;
}

/** Adds the command. */
export function addCompare(program: Command, exit: (code: number) => void): void {
  withOutputOptions(
    program
      .command('compare <output> [baseline] [current]')
      .summary('show how two snapshots, runs or partitions differ')
      .description(
        'Shows how the columns of two sides differ: each is latest, previous, the number of a snapshot, the id of a run ' +
          '(what it published or staged), or a file of "scoreline baseline save". Without sides: previous and latest; with ' +
          'partitions: both latest. No data is read: the statistics and samples that are kept of every task are enough.',
      )
      .option(
        '--baseline <partition>',
        'of the baseline only partitions with this name=value, or in this folder, as 2013/06-01 (repeatable)',
        collect,
      )
      .option('--current <partition>', 'of the current side only these (repeatable)', collect)
      .option('--no-why', 'do not look for why scores differ'),
  ).action(
    async (
      folder: string,
      baseline: string | undefined,
      current: string | undefined,
      options: CompareOptions,
    ) => {
      exit(
        await withOutput(folder, options, async (output, terminal) => {
          const { compare, comparisonCells, comparisonLines, sidePartitions } = await import(
            '../../index.js'
          );
          const hasParts = (options.baseline ?? options.current) !== undefined;
          const report = await compare(
            output,
            {
              baseline: {
                name: baseline ?? (hasParts ? 'latest' : 'previous'),
                ...sidePartitions('--baseline', options.baseline ?? []),
              },
              current: {
                name: current ?? 'latest',
                ...sidePartitions('--current', options.current ?? []),
              },
            },
            { why: options.why },
          );
          const { above, below } = comparisonLines(report);
          const lines = [...above, ...terminal.table(comparisonCells(report), [0, 1, 7]), ...below];
          terminal.result(lines, report);
          return 0;
        }),
      );
    },
  );
}
