/** The command line: parses, hands over to a command, and ends with its exit code. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addBaseline } from './commands/baseline.js';
import { addCheck } from './commands/check.js';
import { addCompare } from './commands/compare.js';
import { addCompletion } from './commands/completion.js';
import { addCurrent } from './commands/current.js';
import { addDoctor } from './commands/doctor.js';
import { addExplainExit } from './commands/explain-exit.js';
import { addGc } from './commands/gc.js';
import { addInit } from './commands/init.js';
import { addInspect } from './commands/inspect.js';
import { addPlan } from './commands/plan.js';
import { addDiscard, addPublish } from './commands/publish.js';
import { addReport } from './commands/report.js';
import { addRevert } from './commands/revert.js';
import { addRun } from './commands/run.js';
import { addRuns } from './commands/runs.js';
import { addSchema } from './commands/schema.js';
import { addScore } from './commands/score.js';
import { addStatus } from './commands/status.js';
import { addVerify } from './commands/verify.js';
import { withHelp } from './help.js';
import { Terminal } from './terminal.js';

/** In the order in which help lists them. */
const COMMANDS = [
  addInit,
  addRun,
  addPlan,
  addScore,
  addInspect,
  addCurrent,
  addStatus,
  addRuns,
  addReport,
  addPublish,
  addDiscard,
  addRevert,
  addVerify,
  addCheck,
  addCompare,
  addBaseline,
  addGc,
  addDoctor,
  addSchema,
  addExplainExit,
  addCompletion,
];

/** The program with all its commands; a command tells its exit code to `exit`. */
export function buildProgram(exit: (code: number) => void): Command {
  const program = new Command('scoreline')
    .description(
      'Scores Parquet or CSV partitions with an ONNX model: exactly once, checked, and published in one step.',
    )
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command')
    .showSuggestionAfterError()
    .exitOverride()
    // Descriptions wrap also on a terminal of 60 columns.
    .configureHelp({ minWidthToWrap: 16, subcommandTerm: termOf })
    .enablePositionalOptions();
  for (const add of COMMANDS) add(program, exit);
  withHelp(program);
  return program;
}

/** Runs a command line (without the program's own name); returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  let code = 0;
  const program = buildProgram((value) => {
    code = value;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    return new Terminal({}).fail(error);
  }
  return code;
}

/** A command in a list of commands. */
function termOf(command: Command): string {
  const words = command.registeredArguments.map((argument) =>
    argument.required ? `<${argument.name()}>` : `[${argument.name()}]`,
  );
  return [command.name(), ...words].join(' ');
}

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return String((JSON.parse(text) as { version: unknown }).version);
}
