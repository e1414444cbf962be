/** Partition columns: what the names of folders say of the rows below them. */
import { ScorelineError, shown } from '../base/errors.js';

const DEFAULT_PARTITION = '__HIVE_DEFAULT_PARTITION__';

/** A partition column: its value is text, or null where the folder says `__HIVE_DEFAULT_PARTITION__`. */
export interface PartitionValue {
  readonly name: string;
  readonly value: string | null;
}

/** The columns that the folders `name=value` of a unit give, outermost first. Throws `input`. */
export function partitionValues(unit: string): PartitionValue[] {
  const values: PartitionValue[] = [];
  for (const folder of unit.split('/')) {
    const equals = folder.indexOf('=');
    if (equals <= 0) continue;
    const name = decoded(folder.slice(0, equals), 'name', folder);
    const text = folder.slice(equals + 1);
    if (values.some((known) => known.name.toLowerCase() === name.toLowerCase())) {
      throw new ScorelineError(
        'input',
        `partition ${shown(unit)}: column "${shown(name)}" is given twice by its folders`,
      );
    }
    values.push({
      name,
      value: text === DEFAULT_PARTITION ? null : decoded(text, 'value', folder),
    });
  }
  return values;
}

/** Undoes the `%` escapes of a Hive folder name; what would be a path or is no text is refused. */
function decoded(text: string, what: 'name' | 'value', folder: string): string {
  let value: string;
  try {
    // A `%` that starts no escape stands for itself, as in Hive.
    value = decodeURIComponent(text.replace(/%(?![0-9A-Fa-f]{2})/g, '%25'));
  } catch {
    throw new ScorelineError(
      'input',
      `partition folder ${shown(folder)}: not UTF-8 after its % escapes`,
    );
  }
  const [found] = /[/\\\0]/.exec(value) ?? [];
  if (found !== undefined) {
    const character = found === '\0' ? 'a NUL character' : 'a path separator (/ or \\)';
    throw new ScorelineError(
      'input',
      `partition folder ${shown(folder)}: the ${what} has ${character} after its % escapes, which columns of folders cannot have; rename the folder`,
    );
  }
  return value;
}
