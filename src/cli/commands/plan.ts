/** `scoreline plan`: what a run would do, and why. */
import type { Command } from 'commander';
import { shown } from '../../base/errors.js';
import { grouped } from '../../base/grouped.js';
import type { PlannedUnit, PlanReport, SelectionOptions } from '../../index.js';
import {
  type JobOptions,
  overridesOf,
  withJobOptions,
  withOutputOptions,
  withSelectionOptions,
} from '../options.js';
import { Terminal } from '../terminal.js';

interface PlanCommandOptions extends JobOptions, SelectionOptions {
  readonly hash?: boolean;
  readonly prune?: boolean;
  readonly adopt?: boolean;
}

/** Adds the command. */
export function addPlan(program: Command, exit: (code: number) => void): void {
  withOutputOptions(
    withSelectionOptions(
      withJobOptions(
        program
          .command('plan <job>')
          .summary('show what a run would do, and why')
          .description(
            'Shows each partition with its files, rows and tasks, what of it is to do, and why. Scores nothing.',
          )
          .option(
            '--hash',
            'hash the files that have not been hashed yet, so that it is known what is to do',
          )
          .option('--prune', 'show what a run with --prune would drop')
          .option('--adopt', 'show what a run with --adopt would do'),
      ),
    ),
  ).action(async (file: string, options: PlanCommandOptions) => {
    const terminal = new Terminal(options);
    await terminal.open();
    try {
      const { loadJob, planJob, selectionOf } = await import('../../index.js');
      const job = await loadJob(file, overridesOf(options));
      const plan = await planJob(job, {
        selection: selectionOf(options),
        hash: options.hash === true,
        prune: options.prune === true,
        adopt: options.adopt === true,
        now: () => new Date(),
      });
      terminal.result(planLines(plan, terminal), plan);
      exit(plan.refused.length > 0 ? 4 : 0);
    } catch (error) {
      exit(terminal.fail(error));
    }
  });
}

function planLines(plan: PlanReport, terminal: Terminal): string[] {
  const rows = [
    ['partition', 'files', 'rows', 'tasks', 'to do', 'why'],
    ...plan.units.map((unit) => [
      nameOf(unit.unit),
      grouped(unit.files),
      grouped(unit.rows),
      grouped(unit.tasks),
      unit.toDo === null ? '?' : grouped(unit.toDo),
      unit.held ? 'held: reverted, needs --because' : (unit.why ?? 'up to date'),
    ]),
  ];
  const total = (of: (unit: PlannedUnit) => number): number =>
    plan.units.reduce((sum, unit) => sum + of(unit), 0);
  const todo = plan.units.filter(({ why }) => why !== null).length;
  return [
    ...terminal.table(rows, [0, 5]),
    '',
    `${grouped(plan.units.length)} partitions, ${grouped(total(({ rows: n }) => n))} rows, ${grouped(total(({ tasks }) => tasks))} tasks; ` +
      `${grouped(todo)} partitions to do; batches of ${grouped(plan.batchRows)} rows on ${plan.device}`,
    ...(plan.engine === null ? [] : [`engine: ${plan.engine.engine} (${plan.engine.why})`]),
    ...plan.notReady.map((unit) => `not ready: ${nameOf(unit)}`),
    ...plan.vanished.map((unit) => `published, but ${fateOf(unit, plan)}: ${nameOf(unit)}`),
    ...plan.notes.map((note) => `note: ${note}`),
    ...plan.refused.map((problem) => `refused: ${problem}`),
  ];
}

function fateOf(unit: string, { dropped, notDropped }: PlanReport): string {
  if (dropped.includes(unit)) return 'its input is gone, to be dropped';
  return notDropped.includes(unit)
    ? 'its input is gone, held: to drop it was reverted, needs --because'
    : 'its input is gone';
}

function nameOf(unit: string): string {
  return unit === '' ? '.' : shown(unit);
}
