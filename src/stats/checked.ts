/** What a comparison of rows with those that are expected has found. Pure. */
import type { Distance, Tolerance } from './tolerance.js';

/** A row, and what is expected of it and what it has; null is no value. */
export interface RowExample {
  readonly key: string;
  /** The partition; '' where there is one alone. */
  readonly unit: string;
  readonly expected: string | null;
  readonly scored: string | null;
}

/** Rows of one kind, and the first of them. */
export interface CheckedRows {
  readonly rows: number;
  readonly first: readonly RowExample[];
}

/** How the values of a column differ. */
export interface CheckedColumn {
  readonly name: string;
  /** `list`: of numbers, each compared by itself. */
  readonly kind: 'number' | 'list' | 'text';
  readonly types: { readonly expected: string; readonly scored: string };
  readonly tolerance: Tolerance;
  /** Rows with another value, and those of them that the tolerance does not excuse. */
  readonly differ: number;
  readonly beyond: number;
  /** The largest distances, each by itself; in JSON, which has no infinity, null stands for it. Null for texts and where nothing differs. */
  readonly largest: Distance | null;
  /** Of the finite numbers that differ: scored less expected, in the mean. */
  readonly meanChange: number | null;
  /** The rows that differ most; of texts the first. */
  readonly worst: readonly RowExample[];
  /** Of texts: the most frequent changes. */
  readonly pairs: readonly {
    readonly expected: string | null;
    readonly scored: string | null;
    readonly rows: number;
  }[];
}

/** What came of comparing rows with those that are expected, by key. */
export interface Checked {
  readonly rows: {
    readonly expected: number;
    readonly scored: number;
    /** Those of which predictions could be compared: scored on both sides. */
    readonly compared: number;
  };
  readonly missing: CheckedRows;
  readonly added: CheckedRows;
  /** Set aside now, or for another reason than expected; and those that were to be set aside and are scored. */
  readonly setAside: CheckedRows;
  readonly returned: CheckedRows;
  readonly columns: readonly CheckedColumn[];
  /** Columns that are expected and not there, and those that are there and not expected. */
  readonly lacking: readonly string[];
  readonly notExpected: readonly string[];
  /** For each lossy feature: of the rows with different predictions, and of the others, how many a cast changed. */
  readonly casts: readonly {
    readonly column: string;
    readonly element: string;
    readonly different: { readonly rows: number; readonly changed: number };
    readonly same: { readonly rows: number; readonly changed: number };
  }[];
}

/** Whether nothing differs beyond what is tolerated: the same rows, with all that is expected of them. */
export function isEqual(checked: Checked): boolean {
  const { missing, added, setAside, returned, columns, lacking } = checked;
  const rows = [missing, added, setAside, returned].every((kind) => kind.rows === 0);
  return rows && lacking.length === 0 && columns.every(({ beyond }) => beyond === 0);
}
