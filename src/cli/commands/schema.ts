/** `scoreline schema`: the JSON Schema of the job file. */
import type { Command } from 'commander';

/** Adds the command. */
export function addSchema(program: Command): void {
  program
    .command('schema')
    .summary('print the JSON Schema of the job file')
    .description(
      'Prints the JSON Schema of the job file, by which editors complete and check it. "scoreline init" writes it beside the job file.',
    )
    .action(async () => {
      const { jobJsonSchema } = await import('../../index.js');
      process.stdout.write(`${JSON.stringify(jobJsonSchema(), undefined, 2)}\n`);
    });
}
