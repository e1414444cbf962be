/** `scoreline doctor`: whether this machine can run scoreline, and with what. */
import type { Command } from 'commander';
import { shown } from '../../base/errors.js';
import type { Diagnosis } from '../../index.js';
import { withOutputOptions } from '../options.js';
import { Terminal, type TerminalOptions } from '../terminal.js';

/** Adds the command. */
export function addDoctor(program: Command, exit: (code: number) => void): void {
  withOutputOptions(
    program
      .command('doctor [folder]')
      .summary('show versions, devices, memory, disk and limits')
      .description(
        'Shows what this machine lends to a run, and for each device that cannot be used, why.',
      ),
  ).action(async (folder: string | undefined, options: TerminalOptions) => {
    const terminal = new Terminal(options);
    await terminal.open();
    try {
      const { diagnose } = await import('../../index.js');
      const diagnosis = await diagnose(folder ?? '.');
      terminal.result(lines(diagnosis), diagnosis);
      exit(diagnosis.problems.length > 0 ? 6 : 0);
    } catch (error) {
      exit(terminal.fail(error));
    }
  });
}

function lines(diagnosis: Diagnosis): string[] {
  const { disk } = diagnosis;
  const versions = Object.entries(diagnosis.versions).map(
    ([name, version]) => `${name} ${version}`,
  );
  return [
    `versions    ${versions.join(', ')}`,
    `platform    ${diagnosis.platform}`,
    `cores       ${diagnosis.cores} usable: that many workers by default`,
    `memory      ${gibibytes(diagnosis.memoryBytes)} usable, ${gibibytes(diagnosis.availableMemoryBytes)} free now`,
    `disk        ${disk.freeBytes === null ? 'unknown' : gibibytes(disk.freeBytes)} free at ${shown(disk.path)}`,
    `open files  ${diagnosis.openFiles ?? 'no limit'}`,
    ...diagnosis.devices.map(
      ({ name, unusable }) => `device      ${name}: ${unusable ?? 'usable as far as can be seen'}`,
    ),
    `locale      ${localeText(diagnosis.locale)}`,
    ...diagnosis.problems.map((problem) => `problem     ${problem}`),
  ];
}

function localeText({ name, present, remedy }: Diagnosis['locale']): string {
  if (present === null) return `${name}: unknown`;
  if (remedy === undefined) return `${name}: present`;
  return `${name}: absent; models of scikit-learn with texts need it: ${remedy}`;
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
