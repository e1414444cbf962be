/** `scoreline completion`: a script by which a shell completes command lines. */
import { Argument, type Command } from 'commander';
import { type CompletedCommand, completionScript, SHELLS } from '../completion-scripts.js';

/** Adds the command. */
export function addCompletion(program: Command, exit: (code: number) => void): void {
  program
    .command('completion')
    .summary('print a script that completes commands in a shell')
    .description(
      'Prints a script by which a shell completes commands, options and their values. In the start-up file of bash or zsh: ' +
        'source <(scoreline completion bash). In that of fish: scoreline completion fish | source.',
    )
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .action((shell: (typeof SHELLS)[number]) => {
      process.stdout.write(`${completionScript(shell, commandsOf(program, ''))}\n`);
      exit(0);
    });
}

/** A command and those below it, the command itself first. */
function commandsOf(command: Command, path: string): CompletedCommand[] {
  const options = command.options.map((option) => ({
    names: [option.long, option.short].filter((name) => name !== undefined && name !== null),
    description: option.description,
    takesValue: option.required || option.optional,
    choices: option.argChoices ?? [],
  }));
  const help = { names: ['--help', '-h'], description: 'say more', takesValue: false, choices: [] };
  const own = {
    path,
    summary: command.summary(),
    commands: [
      ...command.commands.map((below) => below.name()),
      // What a first argument may be is completed like a command.
      ...command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
    ],
    options: [...options, help],
  };
  return [
    own,
    ...command.commands.flatMap((below) => commandsOf(below, `${path} ${below.name()}`.trim())),
  ];
}
