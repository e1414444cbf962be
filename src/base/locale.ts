/** The locale that models of scikit-learn with texts need: ONNX Runtime takes it from the machine. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** The locale of most such models. */
export const USUAL_LOCALE = 'en_US.UTF-8';

/** The commands that add a locale to a machine with apt. */
export function localeRemedy(name: string): string {
  const [base = name, charset = 'UTF-8'] = name.split('.');
  return `"apt-get install locales", then "localedef -i ${base} -f ${charset} ${name}"`;
}

/** Whether the machine has the usual locale; undefined where it does not say. */
export async function hasUsualLocale(): Promise<boolean | undefined> {
  try {
    const { stdout } = await promisify(execFile)('locale', ['-a'], { timeout: 5000 });
    return /^en_US\.utf-?8$/im.test(stdout);
  } catch {
    return undefined;
  }
}
