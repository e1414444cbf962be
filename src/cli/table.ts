/** Lays tables and lines out for a terminal; where there is none its width is infinite, and they stay as they are. */

/** How far what goes on in another line stands to the right. */
const INDENT = 2;
/** The narrowest that a column of text becomes. */
const TEXT_MIN = 24;

interface Column {
  readonly index: number;
  readonly isText: boolean;
  readonly width: number;
}

/** Columns that share a line. */
interface Band {
  readonly indent: number;
  readonly columns: readonly Column[];
}

/**
 * Columns of equal width below the names in the first row: those whose index is in `left` begin together, the others end
 * together. Where the terminal is too narrow for all, those that hold nothing are left out, those that do not fit go on in
 * lines of their own, below, and text in the last one wraps.
 */
export function table(
  rows: readonly (readonly string[])[],
  left: readonly number[],
  width = Number.POSITIVE_INFINITY,
): string[] {
  const all = (rows[0] ?? []).map((_, index) => ({
    index,
    isText: left.includes(index),
    width: Math.max(...rows.map((row) => row[index]!.length)),
  }));
  const whole = endOf({ indent: 0, columns: all }) <= width || rows.length === 1;
  const full = all.filter(({ index }) => rows.slice(1).some((row) => row[index] !== ''));
  const bands = bandsOf(whole ? all : full, width);
  return rows.flatMap((row) =>
    bands.flatMap((band, index) =>
      // A row that has nothing for the columns below needs no line for them.
      index > 0 && band.columns.every((column) => row[column.index] === '')
        ? []
        : bandLines(row, band, width),
    ),
  );
}

/** Wraps lines that a terminal is too narrow for, at spaces: what follows a label stays beside it. */
export function fitted(lines: readonly string[], width: number): string[] {
  return lines.flatMap((line) => {
    // One with a comment is there to be copied into a job file.
    if (line.length <= width || /(?:^|\s)# /.test(line)) return [line];
    const label = /^ *\S+(?: \S+){0,2} {2,}(?=\S)/.exec(line)?.[0].length ?? 0;
    const indent = line.length - line.trimStart().length;
    return wrapped(line, width, label > 0 && label <= width / 2 ? label : indent + INDENT);
  });
}

function bandsOf(columns: readonly Column[], width: number): Band[] {
  const bands: Band[] = [{ indent: 0, columns: [] }];
  for (const column of columns) {
    const band = bands.at(-1)!;
    const longer = { ...band, columns: [...band.columns, column] };
    const spared =
      column === columns.at(-1) && column.isText ? Math.max(0, column.width - TEXT_MIN) : 0;
    if (band.columns.length === 0 || endOf(longer) - spared <= width)
      bands[bands.length - 1] = longer;
    else bands.push({ indent: INDENT, columns: [column] });
  }
  return bands;
}

/** Where the last column of a band ends. */
function endOf({ indent, columns }: Band): number {
  return columns.reduce((end, { width }) => end + 2 + width, indent - 2);
}

function bandLines(row: readonly string[], { indent, columns }: Band, width: number): string[] {
  const cells = columns.map(({ index, isText, width: own }) =>
    isText ? row[index]!.padEnd(own) : row[index]!.padStart(own),
  );
  const line = `${' '.repeat(indent)}${cells.join('  ')}`.trimEnd();
  const last = row[columns.at(-1)?.index ?? 0] ?? '';
  return wrapped(line, width, Math.max(INDENT, line.length - last.trimEnd().length));
}

/** Breaks a line at spaces behind its first `hang` characters; what goes on below is indented by as many. A word is never broken. */
function wrapped(line: string, width: number, hang: number): string[] {
  const lines: string[] = [];
  let rest = line;
  while (rest.length > width) {
    const before = rest.lastIndexOf(' ', width);
    const at = before > hang ? before : rest.indexOf(' ', Math.max(width, hang + 1));
    if (at < 0) break;
    lines.push(rest.slice(0, at).trimEnd());
    rest = ' '.repeat(hang) + rest.slice(at).trimStart();
  }
  return [...lines, rest];
}
