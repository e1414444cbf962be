/** `scoreline plan`: what a run would do, and why. */
import type { Command } from 'commander';
import { shown } from '../../base/errors.js';
import type { PlannedUnit, PlanReport, SelectionOptions } from '../../index.js';
import {
  type JobOptions,
  overridesOf,
  withJobOptions,
  withOutputOptions,
  withSelectionOptions,
} from '../options.js';
import { table } from '../table.js';
import { Terminal } from '../terminal.js';

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
          ),
      ),
    ),
  ).action(async (file: string, options: JobOptions & SelectionOptions & { hash?: boolean }) => {
    const terminal = new Terminal(options);
    await terminal.open();
    try {
      const { loadJob, planJob, selectionOf } = await import('../../index.js');
      const job = await loadJob(file, overridesOf(options));
      const plan = await planJob(job, {
        selection: selectionOf(options),
        hash: options.hash === true,
        now: () => new Date(),
      });
      terminal.result(planLines(plan), plan);
      exit(plan.refused.length > 0 ? 4 : 0);
    } catch (error) {
      exit(terminal.fail(error));
    }
  });
}

function planLines(plan: PlanReport): string[] {
  const rows = [
    ['partition', 'files', 'rows', 'tasks', 'to do', 'why'],
    ...plan.units.map((unit) => [
      nameOf(unit.unit),
      count(unit.files),
      count(unit.rows),
      count(unit.tasks),
      unit.toDo === null ? '?' : count(unit.toDo),
      unit.why ?? 'up to date',
    ]),
  ];
  const total = (of: (unit: PlannedUnit) => number): number =>
    plan.units.reduce((sum, unit) => sum + of(unit), 0);
  const todo = plan.units.filter(({ why }) => why !== null).length;
  return [
    ...table(rows, [0, 5]),
    '',
    `${count(plan.units.length)} partitions, ${count(total(({ rows: n }) => n))} rows, ${count(total(({ tasks }) => tasks))} tasks; ` +
      `${count(todo)} partitions to do; batches of ${count(plan.batchRows)} rows on ${plan.device}`,
    ...(plan.engine === null ? [] : [`engine: ${plan.engine.engine} (${plan.engine.why})`]),
    ...plan.notReady.map((unit) => `not ready: ${nameOf(unit)}`),
    ...plan.vanished.map((unit) => `published, but its input is gone: ${nameOf(unit)}`),
    ...plan.refused.map((problem) => `refused: ${problem}`),
  ];
}

function nameOf(unit: string): string {
  return unit === '' ? '.' : shown(unit);
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}
