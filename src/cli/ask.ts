/** Asks a person at a terminal. */
import { createInterface } from 'node:readline';

/** Whether there is a person to ask. */
export function canAsk(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

/** One line for each question, on stderr; an empty line, or the end of the input, takes what is proposed. Ctrl-C ends the process. */
export async function ask(
  questions: readonly { readonly question: string; readonly proposed: string }[],
): Promise<string[]> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  lines.on('SIGINT', () => process.exit(130));
  const answers: string[] = [];
  try {
    for (const { question, proposed } of questions) {
      const answer = await new Promise<string>((resolve) => {
        lines.once('close', () => resolve(''));
        lines.question(`${question} [${proposed}]: `, resolve);
      });
      answers.push(answer.trim() === '' ? proposed : answer.trim());
    }
    return answers;
  } finally {
    lines.close();
  }
}
