/** `scoreline init`: a first job file for a model and data. */
import type { Command } from 'commander';
import { shellWord, shown } from '../../base/errors.js';
import { grouped } from '../../base/grouped.js';
import type { DraftedJob, InitAnswers, WrittenJob } from '../../index.js';
import { ask, canAsk } from '../ask.js';
import { withOutputOptions } from '../options.js';
import { Terminal, type TerminalOptions } from '../terminal.js';

interface InitOptions extends TerminalOptions {
  readonly output: string;
  readonly force?: boolean;
}

/** What a person types for no key. */
const NONE = 'none';

/** Adds the command. */
export function addInit(program: Command, exit: (code: number) => void): void {
  withOutputOptions(
    program
      .command('init <model> <data>')
      .summary('write a job file for a model and data')
      .description(
        'Looks at an ONNX model and at data and writes a job file that scores them, with remarks. ' +
          'What the two do not settle is left as a TODO, never guessed. At a terminal it asks where to publish and which column names a row.',
      )
      .option('-o, --output <file>', 'the job file to write', 'job.yaml')
      .option('--force', 'replace a job file that is there'),
  ).action(async (model: string, data: string, options: InitOptions) => {
    const terminal = new Terminal(options);
    await terminal.open();
    try {
      const { draftFor, writeDraft } = await import('../../index.js');
      const request = {
        model,
        data,
        file: options.output,
        force: options.force === true,
        cwd: process.cwd(),
        now: () => new Date(),
      };
      const draft = await draftFor(request);
      const quiet = options.json === true || options.quiet === true;
      const answers = quiet || !canAsk() ? {} : await answersTo(draft);
      const written = await writeDraft(draft, request, answers);
      terminal.result(lines(written), written);
      exit(0);
    } catch (error) {
      exit(terminal.fail(error));
    }
  });
}

async function answersTo({ text, output }: DraftedJob): Promise<InitAnswers> {
  const proposed = text.looked.all ? text.draft.key : undefined;
  const [folder = output, key = NONE] = await ask([
    { question: 'Folder to publish in', proposed: shown(output) },
    { question: 'Column that names a row', proposed: shown(proposed ?? NONE) },
  ]);
  return {
    output: folder === shown(output) ? undefined : folder,
    key: key === shown(proposed ?? NONE) ? proposed : key === NONE ? null : key,
  };
}

function lines(written: WrittenJob): string[] {
  const { file, schema, features, key, output, rows, partitions, problems } = written;
  const found = {
    name: "by the names of the model's inputs",
    list: 'listed: see why in the file',
    open: 'open: see TODO in the file',
  };
  const job = shown(file);
  const next =
    features === 'open'
      ? [`edit       ${job}`, `then       scoreline plan ${shellWord(job)}`]
      : problems.length > 0
        ? [`then       scoreline plan ${shellWord(job)}`]
        : [
            `next       scoreline run ${shellWord(job)}`,
            `then       scoreline report ${shellWord(shown(output))}`,
          ];
  return [
    `wrote      ${job}, and ${shown(schema)} by which editors check it`,
    `features   ${found[features]}`,
    `key        ${key === null ? 'none' : shown(key)}`,
    `publishes  in ${shown(output)}`,
    ...(rows === null
      ? []
      : [
          `to score   ${grouped(rows)} rows in ${partitions} partition${partitions === 1 ? '' : 's'}`,
        ]),
    ...problems.map((problem) => `not yet    ${shown(problem, 1000)}`),
    ...next,
  ];
}
