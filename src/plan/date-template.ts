/** Whether the folders or files of an input look like days, and how a job file would say so. Pure. */

/** A path with `{date:…}` for the day in it, relative to the input's root, and the last day that is there. */
export interface DateTemplate {
  readonly path: string;
  readonly last: string;
}

/** How a day is written: over three folders, or in one name. What stands between its parts is kept. */
const LAYOUTS: readonly RegExp[] = [
  /(?<!\d)(\d{4})(\/(?:[A-Za-z_]+=)?)(\d\d)(\/(?:[A-Za-z_]+=)?)(\d\d)(?=\/)/,
  /(?<!\d)(\d{4})(-)(\d\d)(-)(\d\d)(?!\d)/,
  /(?<!\d)(\d{4})()(\d\d)()(\d\d)(?!\d)/,
];

/** The template that all paths of files share; undefined when they are no days, or differ in more than the day. */
export function dateTemplate(paths: readonly string[]): DateTemplate | undefined {
  const found = paths.map(templateOf);
  const [first] = found;
  if (first === undefined || found.some((one) => one?.path !== first.path)) return undefined;
  const last = found
    .flatMap((one) => one?.last ?? [])
    .sort()
    .at(-1);
  return last === undefined ? undefined : { path: first.path, last };
}

function templateOf(path: string): DateTemplate | undefined {
  // What has a meaning in a path of a job file cannot stand around a template.
  if (/[*?[\\{}]/.test(path)) return undefined;
  for (const layout of LAYOUTS) {
    const match = layout.exec(path);
    if (match === null) continue;
    const [text, year = '', one = '', month = '', two = '', day = ''] = match;
    if (!isDay(`${year}-${month}-${day}`)) continue;
    const template = /[/=]/.test(one + two)
      ? `{date:yyyy}${one}{date:MM}${two}{date:dd}`
      : `{date:yyyy${one}MM${two}dd}`;
    const rest = path.slice(match.index + text.length);
    // A day in a folder's name means all that is in the folder; one in a file's name, that file.
    const kept = rest.includes('/') ? rest.slice(0, rest.indexOf('/')) : rest;
    return {
      path: path.slice(0, match.index) + template + kept,
      last: `${year}-${month}-${day}`,
    };
  }
  return undefined;
}

function isDay(text: string): boolean {
  const time = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
}
