/** Writes what a check says into files: JUnit XML, a page. */
import { resolve } from 'node:path';
import { writeFileWhole } from '../base/files.js';
import type { CheckReport } from '../report/check.js';

/** Writes those files that are named. Throws `environment`. */
export async function writeCheck(
  report: CheckReport,
  {
    junit,
    html,
    seconds,
  }: {
    readonly junit: string | undefined;
    readonly html: string | undefined;
    readonly seconds: number;
  },
): Promise<void> {
  if (junit !== undefined) {
    const { junitText } = await import('../report/check-ci.js');
    await writeFileWhole(resolve(junit), junitText(report, seconds));
  }
  if (html !== undefined) {
    const { checkPage } = await import('../report/check-page.js');
    await writeFileWhole(resolve(html), checkPage(report));
  }
}
